#!/usr/bin/python3
"""The policy compiler row by row: spec/netmap-and-policy.md parts D.1 to D.10."""
import json

from policy_cases import ANY, COMMON, addresses, both, check, equal, pairs, preview, rule, run, tailnet, to, told

ADA, BOB, EVE = ["ada@example.com"], ["bob@example.com"], ["eve@example.org"]
ALL = [(0, 65535)]
TO_WEB = {"dst": ["tag:web"], "ip": ["22"]}


def grants(*entries, **more):
    return {"grants": list(entries), **more}


def acl(src, *dst, **more):
    return {"action": "accept", "src": src, "dst": list(dst), **more}


def sources(src, **more):
    """SrcIPs that web gets for a grant from SRC; None when there is no rule."""
    found = preview(grants({"src": src, **TO_WEB}, **more))["web"]["packetFilter"]
    return found[0]["SrcIPs"] if found else None


def with_nodes(policy, nodes):
    result = run("preview", {**COMMON, **policy}, nodes)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def changed(**nodes):
    """The example's nodes with some members of the named ones changed (- stands for _)."""
    document = tailnet()
    for node in document["nodes"]:
        node.update(nodes.get(node["name"].replace("-", "_"), {}))
    return document


def refused(policy, wanted):
    result = run("preview", {**COMMON, **policy})
    assert result.returncode == 1 and wanted in result.stderr, f"\nfound  {result.stderr}wanted {wanted}"


# D.1

def names_of_settings_have_no_case():
    result = preview({"ACLS": [{"Action": "accept", "SRC": EVE, "Dst": ["tag:web:22"]}]})
    check(result, {"web": [rule(addresses(81), to(41, 22))]})


def null_is_as_if_not_there():
    for policy in ({"acls": None}, {"grants": None, "acls": None}):
        equal(preview(policy)["web"]["packetFilter"], [rule(ANY, [("*", 0, 65535)])])


def acls_and_grants_add_up_grants_first():
    result = preview({"acls": [acl(EVE, "tag:web:80")], "grants": [{"src": BOB, **TO_WEB}, {"src": EVE, **TO_WEB}]})
    equal(result["web"]["packetFilter"], [rule(addresses(31), to(41, 22)), rule(addresses(81), to(41, 22) + to(41, 80))])


def settings_without_effect_are_warned_of():
    result = run("preview", {"derpMap": {}, "OneCGNATRoute": "x"})
    assert result.returncode == 0 and result.stderr.count("warning: ") == 2, result.stderr


# D.2

def people_are_found_by_name_domain_group_and_role():
    equal(sources(["user:*@example.com"]), addresses(11, 21, 31))
    equal(sources(["group:dev"]), addresses(11, 21, 31))
    equal(sources(["  ada@example.com "]), addresses(11, 21))
    equal(sources(["autogroup:members"]), addresses(11, 21, 31, 81))
    document = tailnet()
    document["users"] = [{"login": "ada@example.com", "role": "owner"}, {"login": "bob@example.com", "role": "admin"},
                         {"login": "eve", "role": "auditor"}]
    document["nodes"][-1]["user"] = "eve"
    for selector, numbers in (("autogroup:owner", (11, 21)), ("autogroup:admin", (11, 21, 31)), ("eve@", (81,)),
                              ("autogroup:auditor", (81,))):
        found = with_nodes(grants({"src": [selector], **TO_WEB}), document)["web"]["packetFilter"]
        equal((selector, found), (selector, [rule(addresses(*numbers), to(41, 22))]))


def unknown_people_are_nobody():
    equal(sources(["zoe@example.com"]), None)
    equal(sources(["autogroup:it-admin"]), None)
    equal(sources(["autogroup:shared"]), None)


def tagged_nodes_belong_to_nobody():
    document = changed(web={"user": "ada@example.com"})
    found = with_nodes(grants({"src": ADA, "dst": ["tag:db"], "ip": ["*"]}), document)["db"]["packetFilter"]
    equal(found, [rule(addresses(11, 21), to(51))])
    equal(sources(["autogroup:tagged"]), addresses(41, 51, 61, 71))


def addresses_are_masked_and_of_one_family():
    equal(sources(["10.1.2.3/8", "100.64.0.11"]), ["10.0.0.0/8", "100.64.0.11"])
    equal(sources(["fd7a:115c:a1e0::11"]), ["fd7a:115c:a1e0::11"])
    equal(sources(["office"]), ["192.168.7.0/24"])


def sources_join_to_ranges():
    equal(sources(["10.0.0.0/9", "10.128.0.0/9"]), ["10.0.0.0/8"])
    equal(sources(["10.0.0.1", "10.0.0.2", "10.0.0.3"]), ["10.0.0.1-10.0.0.3"])
    equal(sources(["10.0.0.0", "10.0.0.1"]), ["10.0.0.0/31"])


def beside_a_star_others_stay_visible():
    equal(sources(["*", "tag:db", "office", "10.9.0.0/16"]), ANY + ["10.9.0.0/16", *addresses(51)])


def sets_add_and_remove_in_order():
    sets = {"ipset:a": ["add 10.0.0.0/8", "remove 10.0.0.0-10.0.0.255", "add host:office", "add ipset:b"],
            "ipset:b": ["db-v4", "203.0.113.7"]}
    equal(sources(["ipset:a"], ipsets=sets), ["10.0.1.0-10.255.255.255", "100.64.0.51", "192.168.7.0/24", "203.0.113.7"])
    refused(grants(ipsets={"ipset:a": ["add ipset:b"], "ipset:b": ["ipset:a"]}), "ipsets.ipset:a[0]: ipset:a contains itself")
    refused(grants(ipsets={"ipset:a": ["add 10.0.0.1", "10.0.0.2"]}), "ipsets.ipset:a[1]: write \"add\" or \"remove\"")


def services_are_refused():
    refused(grants({"src": ["*"], "dst": ["svc:x"], "ip": ["*"]}), "services are not supported")


# D.3

def ports_and_protocols():
    for text, ports in (("*", ALL), ("80", [(80, 80)]), ("80,443", [(80, 80), (443, 443)]), ("1000-2000", [(1000, 2000)]),
                        ("22,90-99", [(22, 22), (90, 99)])):
        equal(preview({"acls": [acl(EVE, f"tag:web:{text}")]})["web"]["packetFilter"],
              [rule(addresses(81), [(a, *p) for a in both(41) for p in ports])])
    for proto, number in (("TCP", 6), ("udp", 17), ("132", 132), ("sctp", 132), ("6", 6)):
        equal(preview({"acls": [acl(EVE, "tag:web:22", proto=proto)]})["web"]["packetFilter"],
              [rule(addresses(81), to(41, 22), number)])
    for proto, number in (("icmp", 1), ("igmp", 2), ("ipv4", 4), ("ip-in-ip", 4), ("egp", 8), ("igp", 9), ("gre", 47),
                          ("esp", 50), ("ah", 51), ("ipv6-icmp", 58), ("fc", 133), ("255", 255)):
        equal(preview({"acls": [acl(EVE, "tag:web:*", proto=proto)]})["web"]["packetFilter"],
              [rule(addresses(81), to(41), number)])
        refused({"acls": [acl(EVE, "tag:web:22", proto=proto)]}, "acls[0].dst[0]: ")
    for text, proto, port in (("443", (), (443, 443)), ("udp:53", (17,), (53, 53)), ("17:53", (17,), (53, 53)),
                              ("icmp:*", (1,), (0, 65535)), ("tcp:80-90", (6,), (80, 90))):
        equal(preview(grants({"src": EVE, "dst": ["tag:web"], "ip": [text]}))["web"]["packetFilter"],
              [rule(addresses(81), [(a, *port) for a in both(41)], *proto)])


def old_names_of_acl_members():
    result = preview({"acls": [{"action": "accept", "users": EVE, "ports": ["tag:web:22"]}]})
    equal(result["web"]["packetFilter"], [rule(addresses(81), to(41, 22))])


def capabilities_pass_unchanged():
    values = [{"a": [1, 2.5, None, True, "ä"]}, "text", 7]
    result = preview(grants({"src": EVE, "dst": ["tag:web", "db-v4"], "app": {"example.com/cap/x": values}}))
    equal(result["web"]["packetFilter"], [{"SrcIPs": addresses(81), "CapGrant": [
        {"Dsts": ["100.64.0.41/32", "fd7a:115c:a1e0::41/128"], "CapMap": {"example.com/cap/x": values}}]}])
    equal(result["db"]["packetFilter"][0]["CapGrant"][0]["Dsts"], ["100.64.0.51/32"])
    for name in ("webui", "kubernetes", "tsidp", "secrets", "golink", "tailsql"):
        preview(grants({"src": EVE, "dst": ["*"], "app": {"tailscale.com/cap/" + name: [{}]}}))


def routes_approve_themselves():
    offers = changed(db={"advertisedRoutes": ["10.1.0.0/16", "0.0.0.0/0", "::/0"], "approvedRoutes": []},
                     web={"advertisedRoutes": ["10.2.0.0/16", "0.0.0.0/0", "::/0"], "approvedRoutes": []})

    def allowed(approvers):
        found = with_nodes({"autoApprovers": approvers}, offers)["bob-laptop"]["peers"]
        return [[p for p in found[name] if not p.startswith(("100.", "fd7a"))] for name in ("db", "web")]

    equal(allowed({"routes": {"10.0.0.0/8": ["tag:db"]}}), [["10.1.0.0/16"], []])
    equal(allowed({"routes": {"10.1.0.0/17": ["tag:db"]}}), [[], []])
    equal(allowed({"routes": {"0.0.0.0/0": ["tag:db", "tag:web"]}}), [["10.1.0.0/16"], ["10.2.0.0/16"]])
    equal(allowed({"exitNode": ["tag:web"]}), [[], ["0.0.0.0/0", "::/0"]])
    equal(allowed({"routes": {"10.0.0.0/8": ADA}}), [[], []])


def one_exit_route_approved_approves_both():
    document = changed(exit={"approvedRoutes": ["0.0.0.0/0"]})
    equal(with_nodes({}, document)["web"]["peers"]["exit"], ["0.0.0.0/0", "100.64.0.71/32", "::/0", "fd7a:115c:a1e0::71/128"])


def unapproved_routes_are_nowhere():
    result = with_nodes({}, changed(router={"approvedRoutes": []}))
    equal(result["web"]["packetFilter"], [rule(ANY[:3], [("*", 0, 65535)])])
    equal(result["web"]["peers"]["router"], ["100.64.0.61/32", "fd7a:115c:a1e0::61/128"])
    result = with_nodes({}, changed(router={"advertisedRoutes": []}))
    equal(result["web"]["packetFilter"], [rule(ANY[:3], [("*", 0, 65535)])])


def attributes_by_target():
    entries = [{"target": ["tag:web", "bob@example.com"], "attr": ["x"]}, {"target": ["db-v4"], "attr": ["y", "x"]},
               {"target": ["100.64.0.0/28"], "app": {"example.com/a": [{"n": 1}]}},
               {"target": ["autogroup:tagged"], "attr": ["t"]}, {"target": ["group:dev"], "attr": ["g"]}]
    found = {name: node["capMap"] for name, node in preview({"nodeAttrs": entries, "randomizeClientPort": True}).items()}
    common = {"randomize-client-port": None}
    equal(found["web"], {"t": None, "x": None, **common})
    equal(found["bob-laptop"], {"g": None, "x": None, **common})
    equal(found["db"], {"t": None, "x": None, "y": None, **common})
    equal(found["ada-laptop"], {"example.com/a": [{"n": 1}], "g": None, **common})
    equal(found["eve-laptop"], common)


def without_ipv4_both_sides_have_none():
    found = preview({"nodeAttrs": [{"target": ["tag:web"], "attr": ["disable-ipv4"]}]})
    equal(found["web"]["peers"]["db"], ["fd7a:115c:a1e0::51/128"])
    equal(found["db"]["peers"]["web"], ["fd7a:115c:a1e0::41/128"])
    equal(found["db"]["peers"]["bob-laptop"], ["100.64.0.31/32", "fd7a:115c:a1e0::31/128"])
    equal(preview({"disableIPv4": True})["db"]["peers"]["bob-laptop"], ["fd7a:115c:a1e0::31/128"])


def postures_narrow_sources():
    postures = {"posture:new": ["node:os IN ['linux','macos']", "node:tsVersion >= '1.60'"],
                "posture:not-win": ["node:os != 'windows'"], "posture:who": ["custom:x == 'y'"]}
    document = changed(ada_laptop={"os": "linux", "version": "1.9"}, ada_phone={"os": "macos", "version": "1.102.5"},
                       bob_laptop={"os": "windows", "version": "1.70"})

    def asked(rule_members, **more):
        found = with_nodes({"postures": postures, **grants({"src": ["*"], **TO_WEB, **rule_members}), **more}, document)
        return found["web"]["packetFilter"][0]["SrcIPs"] if found["web"]["packetFilter"] else None

    equal(asked({"srcPosture": ["posture:new"]}), addresses(21))
    equal(asked({"srcPosture": ["posture:not-win"]}), addresses(11, 21))
    equal(asked({"srcPosture": ["posture:who"]}), None)
    equal(asked({"srcPosture": ["posture:who", "posture:new"]}), addresses(21))
    equal(asked({}, defaultSrcPosture=["posture:new"]), addresses(21))
    equal(asked({"srcPosture": ["posture:not-win"]}, defaultSrcPosture=["posture:new"]), addresses(11, 21))


# D.4

def in_an_acl_own_devices_come_last():
    result = preview({"acls": [acl(ADA, "autogroup:self:22", "tag:web:80", "100.64.0.11:81")]})
    equal(result["ada-laptop"]["packetFilter"], [rule(addresses(11, 21), [("100.64.0.11", 81, 81)] + to(11, 22))])
    result = preview({"acls": [acl(ADA, "autogroup:self:22", "autogroup:member:80")]})
    equal(result["ada-laptop"]["packetFilter"], [rule(addresses(11, 21), to(11, 22) + to(11, 80))])


def empty_lists_give_nothing():
    check(preview({"acls": [acl([], "*:*"), acl(["*"])], "grants": [{"src": [], "dst": ["*"], "ip": ["*"]}]}), {}, set())


def capabilities_stay_without_sources_and_apart():
    drive = {"example.com/cap/x": [{}]}
    result = preview(grants({"src": ["zoe@example.com"], "dst": ["tag:web"], "app": drive},
                            {"src": EVE, "dst": ["tag:web"], "app": drive}, {"src": EVE, "dst": ["tag:web"], "app": drive}))
    equal([entry["SrcIPs"] for entry in result["web"]["packetFilter"]], [[], addresses(81), addresses(81)])


def companions_of_stars_name_no_routes():
    result = preview(grants({"src": ["*"], "dst": ["*"], "app": {"tailscale.com/cap/relay": [{}]}}))
    router = {"Dsts": ["100.64.0.61/32", "fd7a:115c:a1e0::61/128"]}
    equal(result["router"]["packetFilter"], [
        {"SrcIPs": ANY, "CapGrant": [{**router, "CapMap": {"tailscale.com/cap/relay": [{}]}}]},
        {"SrcIPs": ANY, "CapGrant": [{**router, "CapMap": {"tailscale.com/cap/relay-target": None}}]}])


def filters_hold_what_concerns_the_node():
    result = preview({"acls": [acl(EVE, "10.0.0.0/8:1", "192.168.0.0/16:2", "192.168.7.9:3", "8.8.8.8:4", "100.64.0.0/10:5",
                                   "[2001:db8::1]:6")]})
    equal(result["router"]["packetFilter"], [rule(addresses(81), [("192.168.0.0/16", 2, 2), ("192.168.7.9", 3, 3),
                                                                 ("100.64.0.0/10", 5, 5)])])
    equal(result["exit"]["packetFilter"], [rule(addresses(81), [("8.8.8.8", 4, 4), ("100.64.0.0/10", 5, 5),
                                                               ("2001:db8::1", 6, 6)])])
    equal(result["web"]["packetFilter"], [rule(addresses(81), [("100.64.0.0/10", 5, 5)])])


# D.5

def own_devices_are_only_ones_own():
    result = preview(grants({"src": ["autogroup:member"], "dst": ["autogroup:self"], "ip": ["22"],
                             "app": {"tailscale.com/cap/drive": [{}]}}))
    mine = addresses(11, 21)
    for number, name in ((11, "ada-laptop"), (21, "ada-phone")):
        dsts = {"Dsts": [f"100.64.0.{number}/32", f"fd7a:115c:a1e0::{number}/128"]}
        equal(result[name]["packetFilter"], [
            rule(mine, to(number, 22)), {"SrcIPs": mine, "CapGrant": [{**dsts, "CapMap": {"tailscale.com/cap/drive": [{}]}}]},
            {"SrcIPs": mine, "CapGrant": [{**dsts, "CapMap": {"tailscale.com/cap/drive-sharer": None}}]}])
    check(preview(grants({"src": BOB, "dst": ["autogroup:self"], "ip": ["22"]})),
          {"bob-laptop": [rule(addresses(31), to(31, 22))]}, set())


def own_devices_narrow_a_star_in_acls():
    result = preview({"acls": [acl(["*"], "autogroup:self:*")]})
    equal(result["eve-laptop"]["packetFilter"], [rule(addresses(81), to(81))])
    equal(result["web"]["packetFilter"], [])


# D.6

def via_gives_what_overlaps_the_routers_routes():
    result = preview(grants({"src": EVE, "dst": ["192.168.0.0/16", "10.0.0.0/8"], "ip": ["22"], "via": ["tag:router"]}))
    check(result, {"router": [rule(addresses(81), [("192.168.0.0/16", 22, 22)])]}, pairs("router", "eve-laptop"))


def via_of_capabilities_alone_makes_known():
    result = preview(grants({"src": EVE, "dst": ["office"], "app": {"example.com/x": [{}]}, "via": ["tag:router"]}))
    check(result, {}, pairs("router", "eve-laptop"))


def via_goes_by_one_router():
    document = changed(db={"tags": ["tag:db"], "advertisedRoutes": ["192.168.7.0/24"], "approvedRoutes": ["192.168.7.0/24"]})

    def given(*entries):
        found = with_nodes(grants(*entries), document)["eve-laptop"]["peers"]
        return sorted(name for name, allowed in found.items() if "192.168.7.0/24" in allowed)

    plain = {"src": EVE, "dst": ["office", "tag:db", "tag:router"], "ip": ["*"]}
    via = {"src": EVE, "dst": ["office"], "ip": ["22"], "via": ["tag:router"]}
    equal(given(plain), ["db"])
    equal(given(via), ["router"])
    equal(given({"src": EVE, "dst": ["tag:db"], "ip": ["*"]}, via), ["router"])
    equal(given(plain, via), ["db"])


# D.7, D.8

def peers_by_routes_on_both_sides():
    check(preview({"acls": [acl(["192.168.7.5"], "tag:web:80")]}), {"web": [rule(["192.168.7.5"], to(41, 80))]}, pairs("router", "web"))
    result = preview({"acls": [acl(EVE, "0.0.0.0/0:443")]})
    assert "0.0.0.0/0" in result["eve-laptop"]["peers"]["exit"], result["eve-laptop"]["peers"]


def who_offers_a_route_gets_it_from_the_elected():
    shared = {"advertisedRoutes": ["192.168.7.0/24"], "approvedRoutes": ["192.168.7.0/24"]}
    result = with_nodes({}, changed(db=shared))
    routes = {a: sorted(b for b, allowed in result[a]["peers"].items() if "192.168.7.0/24" in allowed) for a in result}
    equal(routes["router"], ["db"])
    equal(routes["db"], [])
    equal(routes["web"], ["db"])


# D.9

def ssh(*rules, **more):
    return {"acls": [], "ssh": list(rules), **more}


def logins(node):
    return [entry["sshUsers"] for entry in node["sshPolicy"]["rules"]]


def ssh_checks_stand_before_accepts():
    accept = {"action": "accept", "src": ["group:dev"], "dst": ["tag:web"], "users": ["root"], "acceptEnv": ["LC_*"]}
    ask = {"action": "check", "src": EVE, "dst": ["tag:web"], "users": ["deploy"], "checkPeriod": "1h30m"}
    rules = preview(ssh(accept, ask))["web"]["sshPolicy"]["rules"]
    equal([entry["sshUsers"] for entry in rules], [{"deploy": "deploy", "root": ""}, {"root": "root"}])
    equal(sorted(rules[0]["action"]), ["holdAndDelegate"])
    assert rules[0]["action"]["holdAndDelegate"].endswith(
        "/machine/ssh/action/$SRC_NODE_ID/to/$DST_NODE_ID?local_user=$LOCAL_USER"), rules[0]
    equal(rules[1]["acceptEnv"], ["LC_*"])


def ssh_local_parts_follow_their_user():
    result = preview(ssh({"action": "accept", "src": ["group:dev", "eve@example.org"], "dst": ["tag:web"],
                          "users": ["ubuntu", "localpart:*@example.com"]}))
    common = {"root": "", "ubuntu": "ubuntu"}
    equal(logins(result["web"]), [common, {"ada": "ada"}, common, {"bob": "bob"}, common])
    equal(logins(result["ada-phone"]), [common, {"ada": "ada"}])
    equal([p["nodeIP"] for p in result["ada-phone"]["sshPolicy"]["rules"][0]["principals"]], both(11) + both(21))
    equal(logins(result["db"]), [])


def ssh_to_own_devices():
    result = preview(ssh({"action": "accept", "src": ["autogroup:member"], "dst": ["autogroup:self"], "users": ["autogroup:nonroot"]}))
    equal([p["nodeIP"] for p in result["ada-phone"]["sshPolicy"]["rules"][0]["principals"]], both(11) + both(21))
    equal(logins(result["web"]), [])
    result = preview(ssh({"action": "accept", "src": EVE, "dst": EVE, "users": ["root"]}))
    equal(logins(result["eve-laptop"]), [{"root": "root"}])
    for bad in ({"src": ["tag:web"], "dst": ["autogroup:self"]}, {"src": ["autogroup:tagged"], "dst": ["autogroup:member"]},
                {"src": ["tag:web"], "dst": EVE}, {"src": ADA, "dst": EVE}, {"src": ADA, "dst": ["*"]}, {"src": ADA, "dst": ["office"]}):
        refused(ssh({"action": "accept", "users": ["root"], **bad}), "ssh[0].dst[0]: ")
    for period in ("always", "0h", "168h", "90m"):
        preview(ssh({"action": "check", "src": ADA, "dst": ["tag:web"], "users": ["root"], "checkPeriod": period}))


def ssh_errors_name_their_element():
    base = {"action": "accept", "src": ADA, "dst": ["tag:web"], "users": ["root"]}
    refused(ssh({**base, "acceptEnv": ["A", ""]}), "ssh[0].acceptEnv[1]: ")
    refused(ssh({**base, "users": ["root", "localpart:*@*"]}), "ssh[0].users[1]: ")
    refused(ssh({**base, "action": "check", "checkPeriod": "169h"}), "ssh[0].checkPeriod: ")
    refused(ssh({**base, "checkPeriod": "1h"}), "ssh[0].checkPeriod: ")


# D.10

def verdict(policy):
    result = run("check", {**COMMON, **policy})
    return [line.split(": ")[1] if ": " in line else line for line in result.stderr.splitlines()] if result.returncode else []


def tests_look_at_all_that_a_node_gets():
    rules = {"acls": [acl(["group:dev"], "db-v4:5432"), acl(["autogroup:member"], "autogroup:self:22"),
                      acl(EVE, "203.0.113.9:443", proto="tcp")],
             "grants": [{"src": EVE, "dst": ["192.168.7.16/28"], "ip": ["80"], "via": ["tag:router"]}]}

    def tests(*entries):
        return verdict({**rules, "tests": list(entries)})

    equal(tests({"src": "group:dev", "accept": ["db-v4:5432", "tag:db:5432"], "deny": ["db-v4:22", "tag:web:5432"]}), [])
    equal(tests({"src": "ada@example.com", "accept": ["ada@example.com:22"], "deny": ["bob@example.com:22"]}), [])
    equal(tests({"src": "eve@example.org", "accept": ["192.168.7.17:80", "203.0.113.9:443"], "deny": ["192.168.7.1:80"]}), [])
    equal(tests({"src": "eve@example.org", "proto": "udp", "deny": ["203.0.113.9:443"]}), [])
    equal(tests({"src": "eve@example.org", "proto": "6", "accept": ["203.0.113.9:443"]}), [])
    equal(tests({"src": "zoe@example.com", "accept": ["db-v4:5432"], "deny": ["db-v4:5432"]}), ["tests[0].accept[0]"])
    equal(tests({"src": "eve@example.org", "accept": ["tag:web:1", "203.0.113.9:443"], "deny": ["203.0.113.9:443"]}),
          ["tests[0].accept[0]", "tests[0].deny[0]"])
    for bad in ("tag:web:1-2", "tag:web:*", "10.0.0.0/8:1", "100.64.0.1/32:1", "office:1", "*:1", "autogroup:internet:1"):
        refused({"tests": [{"src": "eve@example.org", "accept": [bad]}]}, "tests[0].accept[0]: ")


def ssh_tests_know_the_kinds_of_rules():
    rules = ssh({"action": "check", "src": EVE, "dst": ["tag:web"], "users": ["deploy", "autogroup:nonroot"]},
                {"action": "accept", "src": ["group:dev"], "dst": ["tag:db"], "users": ["root", "localpart:*@example.com"]},
                {"action": "accept", "src": ["autogroup:member"], "dst": ["autogroup:self"], "users": ["root"]})

    def tests(*entries):
        return verdict({**rules, "sshTests": list(entries)})

    equal(tests({"src": "eve@example.org", "dst": ["tag:web"], "accept": ["deploy", "anyone"], "check": ["anyone"], "deny": ["root"]}), [])
    equal(tests({"src": "ada@example.com", "dst": ["db-v4"], "accept": ["root", "ada"], "deny": ["bob"]}), [])
    equal(tests({"src": "eve@example.org", "dst": ["eve@example.org"], "accept": ["root"]}), [])
    equal(tests({"src": "ada@example.com", "dst": ["tag:db"], "check": ["root"], "deny": ["ada"]}),
          ["sshTests[0].check[0]", "sshTests[0].deny[0]"])


CHECKS = [check_ for name, check_ in list(globals().items())
          if callable(check_) and getattr(check_, "__module__", "") == "__main__" and check_.__code__.co_argcount == 0
          and check_.__code__.co_flags & 0x0C == 0]
told(CHECKS, "/policy/rows/")
