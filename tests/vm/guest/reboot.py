"""After a reboot; then a label whose acknowledgement is the last thing before the power goes."""
import json
import pathlib
import time
from broker import ask, connected, retained
from kit import HOST, code, delivers, need, properties, scenario, sh, status, until


@scenario("after a reboot: wanted state, head and samples are back")
def back():
    until("the service", lambda: code("systemctl is-active graft")[1] == "active", 120)
    until("frames", delivers)
    until("the broker", connected)
    state = status()
    before = json.loads(pathlib.Path("/var/before").read_text())
    need(state["wanted"] == "adapt", f"wanted {state['wanted']}")
    need(state["head"] and state["head"]["digest"] == before["head"], "another head")
    need(state["dataset"]["counts"] == before["counts"], f"{state['dataset']['counts']}, before {before['counts']}")
    need(json.loads(retained("state"))["wanted"] == "adapt", "not said over MQTT")
    return f"{state['dataset']['counts']}, head {state['head']['version']}, start {properties('NRestarts')['NRestarts']} restarts"


def label():
    """The answer to a label, or nothing where there was no fresh frame."""
    name = f"last-{time.monotonic():.3f}"
    answer = ask("label", {"action": "set", "class": "lastword", "id": name})
    return (name, answer) if answer["status"] == "ok" else None


@scenario("the power goes after an acknowledged label")
def power():
    ask("mode", "infer")
    # An id is answered once: another one for each attempt.
    (name, answer), _ = until("a label", label)
    # Out of the machine before anything else is written: qemu is killed on sight of it.
    (HOST / "sample").write_text(f'{answer["data"]["sample"]} {name}')
    (HOST / "cut").write_text("now")
    sh("sleep 30")
    need(False, "the power stayed")
