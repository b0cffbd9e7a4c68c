#!/usr/bin/python3
"""The policy compiler against the worked examples of spec/netmap-and-policy.md part 7 and the errors of D.11."""
import json

from policy_cases import ANY, COMMON, INTERNET, NAMES, addresses, both, check, equal, pairs, preview, rule, run, to, told


def no_rules_allows_everything():
    result = preview({})
    all_to_all = {name: [rule(ANY, [("*", 0, 65535)])] for name in NAMES}
    check(result, all_to_all, {frozenset((a, b)) for a in NAMES for b in NAMES if a != b})
    equal(result["web"]["peers"]["router"], ["100.64.0.61/32", "192.168.7.0/24", "fd7a:115c:a1e0::61/128"])
    equal(result["web"]["peers"]["exit"], ["0.0.0.0/0", "100.64.0.71/32", "::/0", "fd7a:115c:a1e0::71/128"])
    for empty in ({"acls": []}, {"grants": []}):
        check(preview(empty), {}, set())


def tcp_from_a_group():
    result = preview({"acls": [{"action": "accept", "proto": "tcp", "src": ["group:dev"], "dst": ["tag:web:80,443"]}]})
    check(result, {"web": [rule(addresses(11, 21, 31), to(41, 80, 443), 6)]},
          pairs("web", "ada-laptop", "ada-phone", "bob-laptop"))


def my_own_devices():
    result = preview({"acls": [{"action": "accept", "src": ["autogroup:member"], "dst": ["autogroup:self:*"]}]})
    check(result, {"ada-laptop": [rule(addresses(11, 21), to(11))], "ada-phone": [rule(addresses(11, 21), to(21))],
                   "bob-laptop": [rule(addresses(31), to(31))], "eve-laptop": [rule(addresses(81), to(81))]},
          pairs("ada-laptop", "ada-phone"))


def star_as_source_lists_routes():
    result = preview({"acls": [{"action": "accept", "src": ["*"], "dst": ["tag:db:5432"]}]})
    check(result, {"db": [rule(ANY, to(51, 5432))]}, pairs("db", *[n for n in NAMES if n != "db"]))
    equal(result["db"]["peers"]["router"], ["100.64.0.61/32", "192.168.7.0/24", "fd7a:115c:a1e0::61/128"])
    equal(result["db"]["peers"]["exit"], ["100.64.0.71/32", "fd7a:115c:a1e0::71/128"])


def protocols_do_not_merge():
    result = preview({"grants": [{"src": ["bob@example.com"], "dst": ["office"], "ip": ["tcp:22", "icmp:*"]}]})
    check(result, {"router": [rule(addresses(31), [("192.168.7.0/24", 22, 22)], 6),
                              rule(addresses(31), [("192.168.7.0/24", 0, 65535)], 1)]}, pairs("router", "bob-laptop"))
    equal(result["bob-laptop"]["peers"]["router"], ["100.64.0.61/32", "192.168.7.0/24", "fd7a:115c:a1e0::61/128"])


def internet_by_the_exit_node():
    result = preview({"grants": [{"src": ["ada@example.com"], "dst": ["autogroup:internet"], "ip": ["*"]}]})
    check(result, {"exit": [rule(addresses(11, 21), [(text, 0, 65535) for text in INTERNET])]},
          pairs("exit", "ada-laptop", "ada-phone"))
    equal(result["ada-phone"]["peers"]["exit"], ["0.0.0.0/0", "100.64.0.71/32", "::/0", "fd7a:115c:a1e0::71/128"])


def capabilities_have_companions():
    drive = [{"shares": ["*"], "access": "ro"}]
    result = preview({"grants": [{"src": ["group:dev"], "dst": ["tag:db"], "ip": ["tcp:8080"],
                                  "app": {"tailscale.com/cap/drive": drive}}]})
    dev = addresses(11, 21, 31)

    def sharer(number):
        return [{"SrcIPs": addresses(51), "CapGrant": [{"Dsts": [f"100.64.0.{number}/32", f"fd7a:115c:a1e0::{number}/128"],
                                                        "CapMap": {"tailscale.com/cap/drive-sharer": None}}]}]

    check(result, {"db": [rule(dev, to(51, 8080), 6),
                          {"SrcIPs": dev, "CapGrant": [{"Dsts": ["100.64.0.51/32", "fd7a:115c:a1e0::51/128"],
                                                        "CapMap": {"tailscale.com/cap/drive": drive}}]}],
                   "ada-laptop": sharer(11), "ada-phone": sharer(21), "bob-laptop": sharer(31)},
          pairs("db", "ada-laptop", "ada-phone", "bob-laptop"))


def via_names_the_router():
    result = preview({"grants": [{"src": ["ada@example.com"], "dst": ["192.168.7.16/28", "autogroup:internet"],
                                  "ip": ["*"], "via": ["tag:router", "tag:exit"]}]})
    check(result, {"router": [rule(addresses(11, 21), [("192.168.7.16/28", 0, 65535)])],
                   "exit": [rule(addresses(11, 21), [(text, 0, 65535) for text in INTERNET])]},
          pairs("router", "ada-laptop", "ada-phone") | pairs("exit", "ada-laptop", "ada-phone"))
    equal(result["ada-laptop"]["peers"]["router"], ["100.64.0.61/32", "192.168.7.0/24", "fd7a:115c:a1e0::61/128"])
    equal(result["ada-laptop"]["peers"]["exit"], ["0.0.0.0/0", "100.64.0.71/32", "::/0", "fd7a:115c:a1e0::71/128"])


def equal_sources_merge():
    eve = ["eve@example.org"]
    result = preview({"acls": [
        {"action": "accept", "src": eve, "dst": ["tag:web:22"]},
        {"action": "accept", "src": eve, "dst": ["[fd7a:115c:a1e0::41]:8000-8010", "tag:db:*"]},
        {"action": "accept", "src": eve, "proto": "icmp", "dst": ["tag:web:*"]}]})
    check(result, {"web": [rule(addresses(81), to(41, 22) + [("fd7a:115c:a1e0::41", 8000, 8010)]),
                           rule(addresses(81), to(41), 1)],
                   "db": [rule(addresses(81), to(51))]})


def a_host_is_one_family():
    result = preview({"acls": [{"action": "accept", "src": ["office"], "dst": ["db-v4:5432"]}]})
    check(result, {"db": [rule(["192.168.7.0/24"], [("100.64.0.51", 5432, 5432)])]}, pairs("db", "router"))
    equal(result["db"]["peers"]["router"], ["100.64.0.61/32", "192.168.7.0/24", "fd7a:115c:a1e0::61/128"])


def ssh_principals_and_users():
    result = preview({"acls": [{"action": "accept", "proto": "tcp", "src": ["group:dev"], "dst": ["tag:web:80,443"]}],
                      "ssh": [{"action": "accept", "src": ["group:dev"], "dst": ["tag:web"],
                               "users": ["deploy", "autogroup:nonroot"]}]})
    equal(result["web"]["sshPolicy"], {"rules": [{
        "principals": [{"nodeIP": address} for number in (11, 21, 31) for address in both(number)],
        "sshUsers": {"*": "=", "deploy": "deploy", "root": ""},
        "action": {"accept": True, "allowAgentForwarding": True, "allowLocalPortForwarding": True,
                   "allowRemotePortForwarding": True}}]})
    equal(result["db"]["sshPolicy"], {"rules": []})
    equal(preview({})["db"]["sshPolicy"], None)


def danger_all_is_a_star():
    result = preview({"acls": [{"action": "accept", "src": ["autogroup:danger-all"], "dst": ["tag:web:443"]}]})
    check(result, {"web": [rule(["*"], to(41, 443))]})


def comments_and_trailing_commas():
    text = '{\n // who\n "acls": [ /* one */ {"action":"accept","src":["*",],"dst":["*:*"],},\n],\n}'
    result = run("preview", text)
    assert result.returncode == 0, result.stderr


def attributes_and_ip_sets():
    result = preview({"nodeAttrs": [{"target": ["tag:web"], "attr": ["funnel", "x"]}, {"target": ["*"], "attr": ["y"]}],
                      "ipsets": {"ipset:lab": ["add 10.0.0.0/8", "remove 10.1.0.0/16"]},
                      "grants": [{"src": ["ipset:lab"], "dst": ["tag:web"], "ip": ["22"]}]})
    equal(sorted(result["web"]["capMap"]), ["funnel", "https://tailscale.com/cap/funnel-ports?ports=443,8443,10000", "x", "y"])
    equal(result["db"]["capMap"], {"y": None})
    check(result, {"web": [rule(["10.0.0.0/16", "10.2.0.0-10.255.255.255"], to(41, 22))]})


ERRORS = [
    ('{"acl": []}', '1:2: "acl" is not a known setting here – did you mean "acls"?'),
    ('{\n "acls": [{"action":"deny","src":["*"],"dst":["*:*"]}]}', '2:21: acls[0].action: only "accept" rules exist'),
    ('{"acls":[{"action":"accept","src":["group:x"],"dst":["*:*"]}]}', 'group:x is used here but not defined under "groups"'),
    ('{"acls":[{"action":"accept","src":["*"],"dst":["tag:x:22"]}]}', 'tag:x is used here but not defined under "tagOwners"'),
    ('{"hosts":{"a":"10.0.0.1"},"acls":[{"action":"accept","src":["b"],"dst":["*:*"]}]}', 'b is used here but not defined under "hosts"'),
    ('{"groups":{"group:a":["group:b"],"group:b":[]}}', "group:a may only list users; copy the members of group:b"),
    ('{"acls":[{"action":"accept","src":["*"],"dst":["100.64.0.1"]}]}', 'add ports to "100.64.0.1", for example "100.64.0.1:443"'),
    ('{"acls":[{"action":"accept","src":["*"],"dst":["*:0"]}]}', '"0" is not a port (1–65535), a range like 80-90, or *'),
    ('{"acls":[{"action":"accept","src":["*"],"dst":["*:90-80"]}]}', '"90-80" is not a port'),
    ('{"acls":[{"action":"accept","proto":"icmp","src":["*"],"dst":["*:22"]}]}', 'has no ports; write "*"'),
    ('{"acls":[{"action":"accept","proto":"*","src":["*"],"dst":["*:*"]}]}', '"*" is not a protocol; leave it out for TCP+UDP+ICMP'),
    ('{"acls":[{"action":"accept","proto":"06","src":["*"],"dst":["*:*"]}]}', '"06" is not a protocol'),
    ('{"acls":[{"action":"accept","src":["autogroup:internet"],"dst":["*:*"]}]}', "autogroup:internet can only be a destination"),
    ('{"acls":[{"action":"accept","src":["*"],"dst":["autogroup:danger-all:*"]}]}', "autogroup:danger-all can only be a source"),
    ('{"grants":[{"src":["*"],"dst":["autogroup:self"],"ip":["*"]}]}', "autogroup:self only works with people as source, not *"),
    ('{"grants":[{"src":["*"],"dst":["*"]}]}', 'say what is granted: "ip" or "app"'),
    ('{"grants":[{"src":["*"],"dst":["0.0.0.0/0"],"ip":["*"]}]}', 'to allow everything use "*", for the internet "autogroup:internet"'),
    ('{"grants":[{"src":["*"],"dst":["*"],"app":{"https://a/b":[]}}]}', '"https://a/b" must look like example.com/name'),
    ('{"grants":[{"src":["*"],"dst":["*"],"app":{"tailscale.com/cap/zz":[]}}]}', '"tailscale.com/cap/zz" is reserved'),
    ('{"grants":[{"src":["*"],"dst":["*"],"ip":["*"],"via":["a@b"]}]}', '"via" takes tags only'),
    ('{"tagOwners":{"tag:1x":[]}}', 'tag names start with a letter and use letters, digits and "-"'),
    ('{"tagOwners":{"tag:x":[]},"ssh":[{"action":"accept","src":["a@b"],"dst":["tag:x"],"users":["*"]}]}', "name the login users"),
    ('{"tagOwners":{"tag:x":[]},"ssh":[{"action":"accept","src":["a@b"],"dst":["tag:x"],"users":["u"],"checkPeriod":"1h"}]}', '"checkPeriod" goes only with "check"'),
    ('{"ssh":[{"action":"check","src":["a@b"],"dst":["10.0.0.1"],"users":["u"],"checkPeriod":"200h"}]}', "SSH rules can target tags"),
    ('{"acls": [', "this is not JSON"),
    ('{"acls": [/* ]}', "expected a comment that ends with */"),
    ('{"acls": "all"}', "acls: expected a list here"),
]


def errors_say_where_and_what():
    for text, wanted in ERRORS:
        result = run("preview", text)
        assert result.returncode == 1 and result.stdout == "", (text, result)
        assert wanted in result.stderr, f"\n{text}\nfound  {result.stderr}wanted {wanted}"
    both_errors = run("preview", '{"acls":[{"action":"deny","src":["group:x"],"dst":["*:*"]}]}').stderr
    assert "only \"accept\"" in both_errors and "group:x" in both_errors, both_errors


def tests_inside_decide():
    rules = {"acls": [{"action": "accept", "src": ["group:dev"], "dst": ["tag:web:443"]}]}
    good = {**COMMON, **rules, "tests": [{"src": "ada@example.com", "accept": ["tag:web:443"], "deny": ["tag:web:22", "tag:db:443"]}]}
    bad = {**COMMON, **rules, "tests": [{"src": "eve@example.org", "accept": ["tag:web:443"]},
                                        {"src": "ada@example.com", "deny": ["tag:web:443"]}]}
    result = run("check", good)
    assert result.returncode == 0, result.stderr
    result = run("check", bad)
    assert result.returncode == 1
    assert "eve@example.org → tag:web:443: expected allowed, is denied" in result.stderr, result.stderr
    assert "ada@example.com → tag:web:443: expected denied, is allowed" in result.stderr, result.stderr


def nothing_is_defined_twice():
    for text, where in (('{"acls":[],"acls":[]}', "1:12: acls: "), ('{"acls":[],"ACLs":[]}', "1:12: acls: "),
                        ('{"hosts":{"a":"10.0.0.1","a":"10.0.0.2"}}', "1:26: hosts.a: "),
                        ('{"acls":[{"action":"accept","src":[],"dst":[],"src":["*"]}]}', "1:47: acls[0].src: ")):
        result = run("preview", text)
        assert result.returncode == 1 and where in result.stderr and "twice" in result.stderr, (text, result.stderr)


def big_and_knotted_files_take_no_time():
    """Each took minutes or for ever where names, sources and rules are compared one with all."""
    chain = range(40)
    rule = '{"action":"accept","src":["%s"],"dst":["*:*"]}'
    files = [
        '{"tagOwners":{' + ",".join(f'"tag:t{i}":["tag:t{i + 1}","tag:t{i + 1}"]' for i in chain) + ',"tag:t40":[]}}',
        '{"ipsets":{' + ",".join(f'"ipset:t{i}":["add ipset:t{i + 1}","add ipset:t{i + 1}"]' for i in chain)
        + ',"ipset:t40":["add 10.0.0.1"]},"acls":[' + rule % "ipset:t0" + "]}",
        '{"hosts":{' + ",".join(f'"h{i}":"10.0.0.1"' for i in range(19000)) + '},"acls":['
        + rule % '","'.join(f"h{i}" for i in range(19000)) + "]}",
        '{"acls":[' + ",".join(rule % f"10.{i >> 8}.{i & 255}.1" for i in range(20000)) + "]}",
        '{"acls":[' + rule % '","'.join(["*"] + [f"10.{i >> 8}.{i & 255}.1" for i in range(60000)]) + "]}",
    ]
    for text in files:
        result = run("preview", text, {"users": [], "nodes": []})
        assert result.returncode == 0, result.stderr[-500:]
    crowd = '{"hosts":{' + ",".join(f'"h{i}":"10.0.0.1"' for i in range(30000)) + "}}"
    result = run("preview", crowd)
    assert result.returncode == 1 and "room for 20000" in result.stderr, result.stderr[:500]
    result = run("preview", "{" + "// " + "x" * (5 << 20))
    assert result.returncode == 1 and "at most" in result.stderr, result.stderr[:500]


def odd_text_is_refused_with_its_place():
    for text, where in (("", "1:1"), ("[]", "1:1"), ('{"acls":[,]}', "1:10"), ("{} x", "1:4"), ("{/* ", "1:2"), ('{"a', "1:2"),
                        ('{"acls":' + "[" * 9000, "1:"), ("{ # no\n}", "1:3"), ("{'acls':[]}", "1:2"), ('{"a\x00b":1}', "1:")):
        result = run("preview", text)
        assert result.returncode == 1 and "policy:" + where in result.stderr, (text[:20], result.stderr)
    assert run("preview", "\ufeff{}").returncode == 0  # some editors begin so


def odd_lists_of_nodes_are_refused_with_their_place():
    node = {"name": "a", "user": "", "tags": [], "addresses": []}
    for nodes, why in (([{**node, "name": ""}], "needs a name"), ([node, node], "another node has this name"),
                       ([{**node, "user": "nobody"}], "a user that is not listed"), ([{**node, "name": 7}], "a string was expected"),
                       ([{**node, "addresses": ["x"]}], "an address or a prefix"), ({}, "an array was expected")):
        result = run("preview", "{}", {"users": [], "nodes": nodes})
        assert result.returncode == 1 and why in result.stderr and "nodes:1:" in result.stderr, (nodes, result.stderr)
    result = run("preview", "{}", {"users": [{"login": "ada", "role": "king"}], "nodes": []})
    assert result.returncode == 1 and "owner, admin or member" in result.stderr, result.stderr


CHECKS = [no_rules_allows_everything, tcp_from_a_group, my_own_devices, star_as_source_lists_routes,
          protocols_do_not_merge, internet_by_the_exit_node, capabilities_have_companions, via_names_the_router,
          equal_sources_merge, a_host_is_one_family, ssh_principals_and_users, danger_all_is_a_star,
          comments_and_trailing_commas, attributes_and_ip_sets, errors_say_where_and_what, tests_inside_decide,
          nothing_is_defined_twice, big_and_knotted_files_take_no_time, odd_text_is_refused_with_its_place,
          odd_lists_of_nodes_are_refused_with_their_place]


told(CHECKS, "/policy/")
