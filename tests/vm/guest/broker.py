"""The service on a broker with TLS, passwords and one device's rights only."""
import json
import pathlib
import time
from kit import code, configure, delivers, drop_in, figures, need, scenario, sh, status, until
from package import CAMERA
from service import examined, show

FOLDER = pathlib.Path("/etc/mosquitto/graft")
DEVICE = "graft/edge"
OPERATOR = f"-h localhost -p 8883 --cafile {FOLDER}/ca.crt -u operator -P op-secret"
STRANGER = f"-h localhost -p 8883 --cafile {FOLDER}/ca.crt -u other -P other-secret"

BROKER = f"""listener 8883 127.0.0.1
allow_anonymous false
password_file {FOLDER}/passwords
acl_file {FOLDER}/rights
cafile {FOLDER}/ca.crt
certfile {FOLDER}/server.crt
keyfile {FOLDER}/server.key
set_tcp_nodelay true
"""
# Each device its own topics, as docs/guide/operation.md has it.
RIGHTS = "user operator\ntopic readwrite graft/#\n\npattern readwrite graft/%u/#\npattern write graft/operator/#\n"
SETTINGS = f"""[device]
id = "edge"
[camera]
device = "{CAMERA}"
width = 320
height = 180
fps = 10.0
[mqtt]
host = "localhost"
port = 8883
tls = "on"
ca_file = "/etc/graft/ca.crt"
username = "edge"
password_file = "/run/credentials/graft.service/mqtt-password"
[store]
free_floor = "10 MB"
quota = "100 MB"
[backbone]
change_gate = 3.0
[metrics]
listen = "127.0.0.1:9464"
"""


def connected():
    return figures().get("graft_mqtt_connected") == 1


def ask(op, body, who=OPERATOR):
    """A command over MQTT and its answer."""
    body = body if isinstance(body, str) else json.dumps(body)
    text = sh(f"mosquitto_rr -V 5 -q 1 -W 30 {who} -t {DEVICE}/cmd/{op} -e graft/operator/answers -m '{body}'")
    return json.loads(text.splitlines()[-1])


def retained(topic):
    return sh(f"mosquitto_sub -V 5 -C 1 -W 15 {OPERATOR} -t {DEVICE}/{topic}")


@scenario("MQTT with TLS, password and rights")
def secured():
    FOLDER.mkdir(parents=True, exist_ok=True)
    q = f"cd {FOLDER} && openssl"
    sh(f"{q} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=ca "
       "-addext basicConstraints=critical,CA:TRUE -keyout ca.key -out ca.crt")
    sh(f"{q} req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost -keyout server.key -out server.csr")
    (FOLDER / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    sh(f"{q} x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile names -out server.crt")
    sh(f"cd {FOLDER} && touch passwords && for p in 'edge edge-secret' 'other other-secret' 'operator op-secret'; do "
       "mosquitto_passwd -b passwords $p; done")
    (FOLDER / "rights").write_text(RIGHTS)
    sh(f"chown -R mosquitto: {FOLDER}; cp {FOLDER}/ca.crt /etc/graft/ca.crt")
    pathlib.Path("/etc/mosquitto/conf.d/graft.conf").write_text(BROKER)
    sh("systemctl enable mosquitto; systemctl restart mosquitto")
    secret = pathlib.Path("/etc/graft/mqtt-password")
    secret.write_text("edge-secret\n")
    secret.chmod(0o600)
    drop_in("password.conf")
    configure(SETTINGS)
    _, took = until("the connection", connected)
    need(retained("availability") == "online", "not online")
    info = json.loads(retained("info"))
    need("edge-secret" not in json.dumps(info), "the password is told")
    need(info["camera"]["source"] == "v4l2", str(info["camera"]))
    return f"connected after {took:.1f} s"


@scenario("a wrong password is told as such")
def wrong_password():
    secret = pathlib.Path("/etc/graft/mqtt-password")
    secret.write_text("wrong\n")
    sh("systemctl restart graft")
    text, _ = until("the journal's word", lambda: [line for line in sh("journalctl -u graft -n 20 -o cat --no-pager").splitlines()
                                                  if "password" in line])
    secret.write_text("edge-secret\n")
    sh("systemctl restart graft")
    until("the connection", connected)
    return text[-1]


@scenario("another device's rights do not reach this one")
def rights():
    until("frames", delivers)
    before = status()["dataset"]["rev"]
    sh(f"mosquitto_pub -V 5 -q 1 {STRANGER} -t {DEVICE}/cmd/label -m spoofed", check=False)
    heard = sh(f"mosquitto_sub -V 5 -W 4 {STRANGER} -t '{DEVICE}/#'", check=False)
    need(status()["dataset"]["rev"] == before, "a stranger's label was stored")
    need("online" not in heard, f"a stranger hears: {heard[:80]}")


@scenario("start and stop over MQTT; label, train, publish")
def adaptation():
    need(ask("mode", "adapt")["status"] == "ok", "refused")
    until("adapt", lambda: json.loads(retained("state"))["wanted"] == "adapt")
    need(ask("mode", "infer")["status"] == "ok", "refused")
    until("infer", lambda: json.loads(retained("state"))["wanted"] == "infer")
    show(0)
    until("a label", lambda: ask("label", "bars")["status"] == "ok")
    job = ask("train", "start")
    need(job["status"] == "accepted", str(job))
    said, _ = until("the round", lambda: (lambda j: j if j["status"] in ("successful", "failed") else None)(json.loads(retained(f"job/{job['job']}"))))
    manifest = json.loads(retained("head"))
    # The state follows what happened, a little later.
    until("the published head in the state", lambda: (json.loads(retained("state"))["head"] or {}).get("version") == manifest["version"])
    sh(f"mosquitto_sub -V 5 -C 1 -W 15 {OPERATOR} -t {DEVICE}/head/{manifest['version']}/0 -N > /tmp/part")
    need(pathlib.Path("/tmp/part").stat().st_size == manifest["parts"][0]["len"], "the head's part has another length")
    return f"round {said['status']}, head {manifest['version']} published in {len(manifest['parts'])} parts"


@scenario("the broker restarts")
def broker_restart():
    sh("systemctl stop mosquitto")
    until("the loss", lambda: not connected())
    # Made while the broker is away.
    until("a label meanwhile", lambda: code("graft label set bars")[0] == 0)
    time.sleep(5)
    sh("systemctl start mosquitto")
    _, took = until("the connection", connected)
    need(retained("availability") == "online", "not online")
    until("the head is said again", lambda: json.loads(retained("head"))["version"] == status()["head"]["version"])
    return f"back {took:.1f} s after the broker"


@scenario("the doctor on this broker")
def doctor():
    found = examined()
    need(found["broker"]["verdict"] == "ok", str(found["broker"]))
    return found["broker"].get("found", "")


@scenario("what the reboot has to bring back")
def before_reboot():
    need(ask("mode", "adapt")["status"] == "ok", "refused")
    time.sleep(2)
    state = status()
    pathlib.Path("/var/before").write_text(json.dumps({"head": state["head"]["digest"], "counts": state["dataset"]["counts"]}))
    return f"{state['dataset']['counts']}, head {state['head']['version']}, wanted {state['wanted']}"
