//! What a gateway may have: how packets leave, what peers may reach, how names are resolved. None of it touches a server.

use std::fs;

use serde_json::{Value, json};

use crate::workspace::Workspace;
use crate::{HOME, SERVER, applied};

/// Everything at once.
const OPTIONS: &str = r#"
  egress       = "shared"
  egress_ports = "40000-59999"

  policy {
    allow                = ["192.168.178.20", "10.0.0.0/24"]
    denied_ports         = ["tcp/25", "udp/53"]
    home_addresses       = ["203.0.113.7"]
    new_flows_per_second = 200
    flows_per_peer       = 4096
  }

  dns64 {
    upstreams     = ["9.9.9.9", "tls://1.1.1.1:853#cloudflare-dns.com", "https://dns.google/dns-query"]
    listen        = ["192.168.178.10"]
    clients       = ["192.168.178.0/24", "FD00::/64"]
    exclude       = ["::ffff:0:0/96"]
    mapped        = ["!10.0.0.0/8", "any"]
    translate_for = ["any"]
    ignore_aaaa   = ["broken.example"]
    no_synth      = ["legacy.example."]
    translate_all = false
    allow_ipv4    = true
    validate      = true
    break_dnssec  = false
    cache         = true
    trust_anchors = ["example. 60 IN DS 7 13 1 000102030405060708090a0b0c0d0e0f10111213"]

    prefix {
      prefix = "64:ff9b::/96"
    }
    prefix {
      prefix        = "2001:DB8:122::/48"
      suffix        = "::1"
      translate_for = ["fd00::/64"]
      recursive_only = true
      health {
        target      = "192.0.2.1:443"
        interval_ms = 500
        fall        = 2
      }
    }
  }
"#;

/// The home with these options.
fn home_with(options: &str) -> String {
    format!("{HOME}{SERVER}").replace("name = \"home\"\n", &format!("name = \"home\"\n{options}\n"))
}

fn gateway(workspace: &Workspace) -> Value {
    workspace.document()["gateways"]["home"].clone()
}

fn user_data(workspace: &Workspace) -> Value {
    workspace.state("hetznat_peer.web")["user_data"].clone()
}

#[test]
fn every_option_arrives_in_the_document_and_plans_empty() {
    let workspace = applied(&home_with(OPTIONS));

    workspace.plans_nothing();

    let gateway = gateway(&workspace);
    assert_eq!((&gateway["egress"], &gateway["egress_ports"]), (&json!("shared"), &json!("40000-59999")));
    let policy = json!({
        "allow": ["192.168.178.20/32", "10.0.0.0/24"], "denied_ports": ["tcp/25", "udp/53"],
        "home_addresses": ["203.0.113.7"], "new_flows_per_second": 200, "flows_per_peer": 4096,
    });
    assert_eq!(gateway["policy"], policy);
    let dns64 = json!({
        "upstreams": ["udp://9.9.9.9", "tls://1.1.1.1#cloudflare-dns.com", "https://dns.google/dns-query"],
        "listen": ["192.168.178.10"], "clients": ["192.168.178.0/24", "fd00::/64"],
        "trust_anchors": ["example. DS 7 13 1 000102030405060708090A0B0C0D0E0F10111213"],
        "policy": {
            "prefixes": [
                {"prefix": "64:ff9b::/96"},
                {"prefix": "2001:db8:122::/48", "suffix": "::1", "clients": ["fd00::/64"], "recursive_only": true,
                 "health": {"target": "192.0.2.1:443", "interval_ms": 500, "fall": 2}},
            ],
            "exclude": ["::ffff:0.0.0.0/96"], "mapped": ["!10.0.0.0/8", "any"], "clients": ["any"],
            "translate_all": false, "ignore_aaaa": ["broken.example"], "no_synth": ["legacy.example."],
            "allow_ipv4": true, "validate": true, "break_dnssec": false, "cache": true,
        },
    });
    assert_eq!(gateway["dns64"], dns64);
    let state = workspace.state("hetznat_gateway.home");
    assert_eq!(state["dns64"]["clients"][1], "FD00::/64", "the author's spelling");
    contract::Document::parse(workspace.document_text().as_bytes()).unwrap();
}

#[test]
fn no_option_touches_a_byte_of_any_servers_user_data() {
    let workspace = applied(&home_with(""));
    let before = user_data(&workspace);
    let routed = "  egress = \"routed\"\n  pool4  = [\"203.0.113.8/29\"]\n";
    let (policy, dns64) = ("  policy {}\n", "  dns64 {\n    upstreams = [\"9.9.9.9\"]\n  }\n");

    for options in [OPTIONS, routed, policy, dns64, "  egress = \"shared\"\n", ""] {
        workspace.write(&home_with(options));
        workspace.plan().says("Plan: 0 to add, 1 to change, 0 to destroy.");
        let apply = workspace.apply().succeeds();

        assert!(apply.text.contains("0 added, 1 changed, 0 destroyed"), "{options}\n{}", apply.text);
        assert_eq!(user_data(&workspace), before, "{options}");
        workspace.plans_nothing();
    }
    assert_eq!(gateway(&workspace).as_object().unwrap().len(), 9, "nothing of it stays: {}", workspace.document_text());
}

#[test]
fn an_empty_policy_denies_mail_and_a_policy_may_deny_nothing() {
    let workspace = applied(&home_with("  policy {}\n"));
    assert_eq!(gateway(&workspace)["policy"], json!({"denied_ports": ["tcp/25"]}));

    workspace.write(&home_with("  policy {\n    denied_ports = []\n  }\n"));
    workspace.apply().succeeds();

    assert_eq!(gateway(&workspace)["policy"], json!({"denied_ports": []}));
    workspace.plans_nothing();
}

#[test]
fn the_ports_of_a_shared_address_have_a_default_that_the_plan_shows() {
    let workspace = applied(&home_with(""));
    workspace.edit("name = \"home\"\n", "name = \"home\"\n  egress = \"shared\"\n");

    workspace.plan().says("+ egress_ports = \"49152-65535\"").says("\"masquerade\" -> \"shared\"");
    workspace.apply().succeeds();

    assert_eq!(gateway(&workspace)["egress_ports"], "49152-65535");
    workspace.plans_nothing();
}

#[test]
fn options_may_be_unknown_until_apply() {
    let lan = "resource \"terraform_data\" \"lan\" {\n  input = [\"192.168.178.0/24\"]\n}\n";
    let mode = "resource \"terraform_data\" \"mode\" {\n  input = \"shared\"\n}\n";
    let options = "  egress = terraform_data.mode.output\n  policy {\n    allow = terraform_data.lan.output\n  }\n  dns64 {\n    \
                   upstreams = [\"9.9.9.9\"]\n    listen = [\"192.168.178.10\"]\n    clients = terraform_data.lan.output\n  }\n";

    let workspace = applied(&format!("{}{lan}{mode}", home_with(options)));

    let gateway = gateway(&workspace);
    assert_eq!(gateway["dns64"]["clients"], json!(["192.168.178.0/24"]));
    assert_eq!(gateway["policy"]["allow"], json!(["192.168.178.0/24"]));
    assert_eq!(gateway["egress_ports"], "49152-65535");
    workspace.plans_nothing();
}

#[test]
fn what_was_edited_by_hand_is_an_ordinary_difference() {
    let workspace = applied(&home_with(OPTIONS));
    let before = gateway(&workspace);
    workspace.edit_document(|document| {
        let home = &mut document["gateways"]["home"];
        home["egress"] = json!("masquerade");
        home.as_object_mut().unwrap().remove("egress_ports");
        home["policy"]["denied_ports"] = json!([]);
        home.as_object_mut().unwrap().remove("dns64");
    });

    workspace.plan().says("\"masquerade\" -> \"shared\"").says("+ \"tcp/25\"").says("+ dns64 {");
    workspace.apply().succeeds();

    assert_eq!(gateway(&workspace), before);
    workspace.plans_nothing();
}

#[test]
fn keys_of_later_versions_inside_options_survive_an_update() {
    let workspace = applied(&home_with(OPTIONS));
    workspace.edit_document(|document| {
        let home = &mut document["gateways"]["home"];
        home["policy"]["later"] = json!(1);
        home["dns64"]["later"] = json!([2]);
        home["dns64"]["policy"]["later"] = json!(null);
        home["dns64"]["policy"]["prefixes"][1]["later"] = json!({"a": 3});
        home["dns64"]["policy"]["prefixes"][1]["health"]["later"] = json!(4);
    });
    workspace.plans_nothing();

    workspace.edit("= 200", "= 300");
    workspace.apply().succeeds();

    let gateway = gateway(&workspace);
    assert_eq!((&gateway["policy"]["later"], &gateway["policy"]["new_flows_per_second"]), (&json!(1), &json!(300)));
    assert_eq!(gateway["dns64"]["later"], json!([2]));
    assert!(gateway["dns64"]["policy"].as_object().unwrap().contains_key("later"));
    assert_eq!(gateway["dns64"]["policy"]["prefixes"][1]["later"], json!({"a": 3}));
    assert_eq!(gateway["dns64"]["policy"]["prefixes"][1]["health"]["later"], json!(4));
}

#[test]
fn an_import_takes_every_option_over() {
    let workspace = applied(&home_with(OPTIONS));
    workspace.run(&["state", "rm", "hetznat_gateway.home"]).succeeds();

    workspace.run(&["import", "hetznat_gateway.home", "home"]).succeeds();

    let state = workspace.state("hetznat_gateway.home");
    assert_eq!(state["egress_ports"], "40000-59999");
    assert_eq!(state["dns64"]["prefix"][1]["suffix"], "::1");
    assert_eq!(state["policy"]["flows_per_peer"], 4096);
    workspace.plans_nothing();
}

#[track_caller]
fn refused(options: &str, expected: &[&str]) {
    let workspace = Workspace::with(&home_with(options));
    let mut run = workspace.run(&["validate", "-no-color"]);
    for message in expected {
        run = run.fails_with(message);
    }
    assert!(fs::metadata(workspace.path("state.json")).is_err(), "nothing is written");
}

#[test]
fn an_option_that_cannot_work_is_refused_where_it_stands() {
    let dns64 = |more: &str| format!("  dns64 {{\n    upstreams = [\"9.9.9.9\"]\n    {more}\n  }}\n");

    refused("  egress = \"tunnel\"\n", &["is no egress; write masquerade, shared or routed", "egress = \"tunnel\""]);
    refused(
        "  egress_ports = \"40000-50000\"\n",
        &["belongs to egress = \"shared\"", "egress_ports = \"40000-50000\""],
    );
    refused("  egress = \"routed\"\n", &["pool4: is empty; name the prefixes that are routed to this gateway"]);
    refused(
        "  egress = \"routed\"\n  pool4 = [\"203.0.113.8/29\", \"198.18.1.0/24\"]\n",
        &["pool4[1]: 198.18.1.0/24 overlaps 198.18.0.0/16", "pool4 = ["],
    );
    refused("  dns64 {}\n", &["The argument \"upstreams\" is required"]);
    refused("  dns64 {\n    upstreams = []\n  }\n", &["dns64.upstreams: is empty; name a resolver", "upstreams = []"]);
    refused(&dns64("mapped = [\"any\", \"10.0.0.1/8\"]"), &["dns64.mapped[1]: 10.0.0.1/8 has bits set", "mapped = ["]);
    refused(&dns64("clients = [null]"), &["dns64.clients[0] is null; leave it out", "clients = [null]"]);
    refused(&dns64("listen = [\"192.168.178.10\"]"), &["dns64.clients: is empty, so nobody may ask at listen"]);
    refused(
        &dns64("prefix {\n      prefix = \"2001:db8::/96\"\n      suffix = \"::1\"\n    }"),
        &["::1 overlaps the prefix 2001:db8::/96", "suffix = \"::1\""],
    );
    refused(
        &dns64("prefix {\n      prefix = \"64:ff9b::/96\"\n      mapped = [\"2001:db8::/32\"]\n    }"),
        &["dns64.prefix[0].mapped: ", "mapped = [\"2001:db8::/32\"]"],
    );
    let health = |more: &str| {
        dns64(&format!("prefix {{\n      prefix = \"64:ff9b::/96\"\n      health {{\n        {more}\n      }}\n    }}"))
    };
    refused(
        &health("target = \"192.0.0.170\""),
        &["RFC 7050 forbids to probe 192.0.0.170; name a host that may be asked", "target = \"192.0.0.170\""],
    );
    refused(&health("target = \"host.example\""), &["is no IPv4 host; write it like 192.0.2.1:443 or 192.0.2.1"]);
    refused(
        &health("target = \"1.1.1.1\"\n        interval_ms = 1"),
        &["health.interval_ms: must be from 100 to 3600000, not 1", "interval_ms = 1"],
    );
    refused("  policy {\n    allow = [\"fd00::/64\"]\n  }\n", &["policy.allow[0]: not an IPv4 prefix", "allow = ["]);
    refused("  policy {\n    flows_per_peer = 0\n  }\n", &["policy.flows_per_peer: is 0", "flows_per_peer = 0"]);
    refused("  policy {}\n  policy {}\n", &["Only one block of type \"policy\" is allowed"]);
}

#[test]
fn a_server_that_asks_a_gateway_without_dns64_is_warned_of() {
    let config = home_with("").replace("name     = \"web\"", "name     = \"web\"\n  dns      = \"gateway\"");
    let workspace = Workspace::with(&config);

    workspace.apply().succeeds().says("gateway home resolves no names; give its hetznat_gateway a block dns64");
    let before = user_data(&workspace);
    workspace.edit("name = \"home\"\n", "name = \"home\"\n  dns64 {\n    upstreams = [\"9.9.9.9\"]\n  }\n");
    workspace.apply().succeeds();

    assert_eq!(user_data(&workspace), before);
    workspace.plans_nothing();
}
