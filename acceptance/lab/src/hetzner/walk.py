"""Hetzner's own Python client, old or new, goes through everything that the stand-in has, and says so if all of it was right."""
import sys
import time

import hcloud
from hcloud.firewalls.domain import FirewallResource, FirewallResourceLabelSelector, FirewallRule
from hcloud.images.domain import Image
from hcloud.locations.domain import Location
from hcloud.server_types.domain import ServerType
from hcloud.servers.domain import ServerCreatePublicNetwork

endpoint = sys.argv[1]
client = hcloud.Client(token="write", api_endpoint=endpoint, poll_interval=0.05)
reader = hcloud.Client(token="read", api_endpoint=endpoint)


def refused(code, request):
    try:
        request()
    except hcloud.APIException as error:
        assert error.code == code, f"{error.code} instead of {code}: {error.message}"
        return error
    raise AssertionError(f"{code} expected")


def create(name, **more):
    net = more.pop("net", ServerCreatePublicNetwork(enable_ipv4=False, enable_ipv6=True))
    created = client.servers.create(name=name, server_type=ServerType(name="cax11"), image=Image(name="debian-12"),
                                    location=Location(name="fsn1"), public_net=net, user_data="#!/bin/sh\n", **more)
    created.action.wait_until_finished()
    return created.server


def until(what, probe):
    end = time.monotonic() + 10
    while not probe():
        assert time.monotonic() < end, what
        time.sleep(0.02)


# The catalogue.
assert client.locations.get_by_name("hel1").network_zone == "eu-central"
assert client.server_types.get_by_name("cax11").cores == 2
assert {image.name for image in client.images.get_all()} == {"debian-12", "debian-13"}

# Servers: created, paged, selected, renamed, labelled.
servers = [create(f"node-{n:02}", labels={"pool": "a" if n % 2 else "b", "n": str(n)}) for n in range(7)]
assert [server.name for server in client.servers.get_all()] == [f"node-{n:02}" for n in range(7)]
page = client.servers.get_list(per_page=3, page=2)
assert [server.name for server in page.servers] == ["node-03", "node-04", "node-05"]
assert (page.meta.pagination.next_page, page.meta.pagination.total_entries) == (3, 7)
assert len(client.servers.get_all(label_selector="pool in (a,b),n notin (1,2)")) == 5
assert len(client.servers.get_all(label_selector="pool==a,!missing")) == 3
first = client.servers.get_by_name("node-00")
assert first.status == first.STATUS_RUNNING and first.public_net.ipv4 is None
assert first.public_net.ipv6.network.endswith("/64") or first.public_net.ipv6.ip.endswith("/64")
assert first.public_net.ipv6.blocked is False
first = first.update(name="renamed", labels={"pool": "c"})
assert (first.name, first.labels) == ("renamed", {"pool": "c"})
refused("uniqueness_error", lambda: first.update(name="node-01"))
refused("invalid_input", lambda: first.update(labels={"key": "mBH3W0yK1c0nJ3W6dK0o5Oq0lEwq8n0q9dVZ0bG7vXA="}))
refused("invalid_input", lambda: client.servers.get_all(label_selector="a b"))

# Actions: power, a rebuild, and only one at a time.
off = first.power_off()
refused("locked", first.power_on)
off.wait_until_finished()
first.reload()
assert first.status == first.STATUS_OFF
rebuilt = first.rebuild(Image(name="debian-13"))
rebuilt = getattr(rebuilt, "action", rebuilt)
assert rebuilt.status == rebuilt.STATUS_RUNNING and rebuilt.command == "rebuild_server"
rebuilt.wait_until_finished()
first.reload()
assert (first.status, first.image.name) == ("running", "debian-13")
assert "rebuild_server" in [action.command for action in first.get_actions()]

# Primary IPs outlive their server, and are assigned only to one that is off.
# Asked for by hand: the client's own method differs between its versions.
request = getattr(client, "request", None) or client._client.request
kept = request("POST", "/primary_ips", json={
    "name": "kept-v6", "type": "ipv6", "assignee_type": "server", "location": "fsn1"})
kept = client.primary_ips.get_by_id(kept["primary_ip"]["id"])
assert kept.type == "ipv6" and kept.assignee_id is None and not kept.auto_delete
net = ServerCreatePublicNetwork(enable_ipv4=False, enable_ipv6=True, ipv6=kept)
owner = create("owner", net=net)
kept.reload()
assert kept.assignee_id == owner.id
refused("must_be_unassigned", kept.delete)
refused("server_not_stopped", kept.unassign)
owner.delete()
until("the server is gone", lambda: client.servers.get_by_name("owner") is None)
kept.reload()
assert kept.assignee_id is None
first.power_off().wait_until_finished()
refused("server_has_primary_ip", lambda: kept.assign(first.id, "server"))
assert kept.update(name="kept").name == "kept"
kept.delete()
refused("not_found", lambda: client.primary_ips.get_by_id(kept.id))

# Firewalls, by label.
rule = FirewallRule(direction="in", protocol="udp", port="46464", source_ips=["::/0"], description="hetznat")
selector = FirewallResource(type="label_selector", label_selector=FirewallResourceLabelSelector(selector="pool==a"))
firewall = client.firewalls.create(name="hetznat", rules=[rule], resources=[selector]).firewall
firewall = client.firewalls.get_by_name("hetznat")
assert firewall.rules[0].port == "46464" and firewall.applied_to[0].type == "label_selector"
assert [f.firewall.name for f in client.servers.get_by_name("node-01").public_net.firewalls] == ["hetznat"]
refused("resource_in_use", firewall.delete)
firewall.remove_from_resources([selector])
firewall.set_rules([])
firewall.delete()

# Who may what.
assert reader.servers.get_by_name("node-01").id == servers[1].id
refused("token_readonly", lambda: reader.servers.get_by_name("node-01").update(name="x"))
refused("unauthorized", lambda: hcloud.Client(token="wrong", api_endpoint=endpoint).servers.get_all())

# Deleted.
for server in client.servers.get_all():
    server.delete()
until("all servers are gone", lambda: client.servers.get_all() == [])
assert client.primary_ips.get_all() == []
print("all of it is right")
