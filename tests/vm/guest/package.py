"""The package comes onto a board that has a camera and no broker yet."""
import pathlib
from kit import HOST, code, need, properties, scenario, sh, until

# One camera as most are, one as image processors give it.
VIVID = "options vivid n_devs=2 node_types=0x1,0x1 num_inputs=1,1 input_types=0,0 multiplanar=1,2\n"
# Only USB cameras get a name below by-id by themselves.
RULE = 'SUBSYSTEM=="video4linux", ATTR{name}=="vivid-000-vid-cap", SYMLINK+="v4l/by-id/virtual-vivid-video-index0"\n'
CAMERA = "/dev/v4l/by-id/virtual-vivid-video-index0"


@scenario("camera driver is there")
def driver():
    pathlib.Path("/etc/modprobe.d/vivid.conf").write_text(VIVID)
    pathlib.Path("/etc/modules-load.d/vivid.conf").write_text("vivid\n")
    pathlib.Path("/etc/udev/rules.d/61-vivid.rules").write_text(RULE)
    sh("udevadm control --reload; modprobe vivid; udevadm settle")
    need(pathlib.Path(CAMERA).exists(), sh("ls -l /dev/v4l/* /dev/video*", check=False))

    # Without the clock in the picture.
    sh(f"v4l2-ctl -d {CAMERA} -c osd_text_mode=2")
    return sh("uname -r")


@scenario("package installs; service runs as its user")
def install():
    # The image leaves documents out; those of the package hold the drop-ins.
    sh(f"dpkg --path-include='/usr/share/doc/graft/*' -i {HOST}/graft.deb")
    until("active", lambda: code("systemctl is-active graft")[1] == "active")
    need(code("systemctl is-enabled graft")[1] == "enabled", "not enabled")
    shown = properties("Type", "User", "StatusText", "MainPID", "NRestarts")
    need(shown["Type"] == "notify" and shown["NRestarts"] == "0", str(shown))
    owner = sh(f"stat -c %U /proc/{shown['MainPID']}")
    need(owner == "graft", f"it runs as {owner}")
    need("head" in shown["StatusText"], f"status: {shown['StatusText']}")
    return f"status: {shown['StatusText']}"
