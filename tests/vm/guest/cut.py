"""After the power cut."""
import json
from broker import ask, connected
from kit import HOST, code, delivers, journal, need, page, scenario, status, until


@scenario("after a power cut: the acknowledged label is there")
def there():
    until("the service", lambda: code("systemctl is-active graft")[1] == "active", 120)
    until("frames", delivers)
    until("the broker", connected)
    sample, name = (HOST / "sample").read_text().split()
    sample = int(sample)
    found = [row for row in json.loads(page("/v1/samples")[1])["samples"] if row["id"] == sample]
    need(found and found[0]["class"] == "lastword", f"sample {sample} is lost: {found}")
    need(page(f"/v1/samples/{sample}/image")[0] == 200, "its picture is lost")
    # Sent again, as somebody does who was in doubt.
    again = ask("label", {"action": "set", "class": "lastword", "id": name})
    need(again["data"]["sample"] == sample, f"stored twice: {again}")
    need("moved aside" not in journal("-b"), "the database was damaged")
    return f"sample {sample}; the repeated command was not carried out again"
