"""The commands, a file a group.  `api.cli` puts them under one name."""
