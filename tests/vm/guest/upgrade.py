"""Upgrade, refusal, removal and purge by the real dpkg and systemctl."""
import pathlib
import re
from kit import CONFIG, HOST, code, delivers, need, pid, properties, scenario, sh, status, until


def later(version):
    """The same package under a later version."""
    sh("rm -rf /tmp/later; dpkg-deb -R /host/graft.deb /tmp/later")
    control = pathlib.Path("/tmp/later/DEBIAN/control")
    control.write_text(re.sub(r"(?m)^Version: .*", f"Version: {version}", control.read_text()))
    sh("dpkg-deb -Zgzip -z1 -b /tmp/later /tmp/later.deb")
    return "dpkg --force-confold -i /tmp/later.deb"


@scenario("upgrade: data and configuration kept, restarted once")
def upgrade():
    before, state = pid(), status()
    sh("echo '# mine' >> /etc/graft/config.toml")
    sh(later("98.0"))
    until("the service", lambda: pid() not in (0, before) and delivers())
    now = status()
    need(now["dataset"]["counts"] == state["dataset"]["counts"], "samples are lost")
    need(now["head"]["digest"] == state["head"]["digest"], "the head is lost")
    need("# mine" in pathlib.Path("/etc/graft/config.toml").read_text(), "the configuration is lost")
    return f"{now['dataset']['counts']}"


@scenario("upgrade with a broken configuration: refused, the old service runs on")
def refused():
    before = pid()
    text = CONFIG.read_text()
    CONFIG.write_text(text + "[camera_]\n")
    done, said = code(later("99.0"))
    need(done != 0 and "camera_" in said, said[-200:])
    need(pid() == before and delivers(), "the old service was touched")
    CONFIG.write_text(text)
    sh("dpkg --configure graft")
    until("the new service", lambda: pid() not in (0, before) and delivers())


@scenario("remove and purge")
def purge():
    sh("dpkg -r graft")
    need(not pathlib.Path("/usr/bin/graft").exists() and not sh("pgrep -x graft", check=False), "it still runs")
    said = sh("dpkg -P graft")
    need("/var/lib/graft" in said and pathlib.Path("/var/lib/graft/device.key").exists(), said)
    need(not pathlib.Path("/etc/graft/config.toml").exists(), "the configuration stayed")
    return "samples and key stay, and it says so"
