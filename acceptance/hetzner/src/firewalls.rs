//! Firewalls: rules, and the servers that they are applied to, by name or by label.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::error::{ApiError, Outcome};
use crate::input::Input;
use crate::labels::{self, Labels};
use crate::project::Project;
use crate::selector::Selector;
use crate::time::{Time, rfc3339};

/// One firewall.
#[derive(Debug, Clone)]
pub(crate) struct Firewall {
    name: String,
    labels: Labels,
    rules: Vec<Value>,
    servers: BTreeSet<u64>,
    selectors: BTreeSet<String>,
    created: Time,
}

impl Firewall {
    /// Whether it is applied to a server.
    pub(crate) fn holds(&self, server: u64, labels: &Labels) -> bool {
        let selected = |text: &String| Selector::parse(text).is_ok_and(|selector| selector.matches(labels));
        self.servers.contains(&server) || self.selectors.iter().any(selected)
    }

    pub(crate) fn detach(&mut self, server: u64) {
        self.servers.remove(&server);
    }
}

impl Project {
    fn firewall(&mut self, id: u64) -> Outcome<&mut Firewall> {
        self.firewalls.get_mut(&id).ok_or_else(|| ApiError::not_found("firewall", id))
    }

    pub(crate) fn firewalls_json(&self) -> Vec<Value> {
        self.firewalls.iter().map(|(id, firewall)| self.firewall_value(*id, firewall)).collect()
    }

    pub(crate) fn firewall_json(&self, id: u64) -> Outcome<Value> {
        let firewall = self.firewalls.get(&id).ok_or_else(|| ApiError::not_found("firewall", id))?;
        Ok(json!({ "firewall": self.firewall_value(id, firewall) }))
    }

    fn firewall_value(&self, id: u64, firewall: &Firewall) -> Value {
        let servers = firewall.servers.iter().map(|id| json!({ "type": "server", "server": { "id": id } }));
        let selectors = firewall.selectors.iter().map(|text| {
            let selected = Selector::parse(text).ok();
            let held = self
                .servers
                .iter()
                .filter(|(_, server)| selected.as_ref().is_some_and(|selector| selector.matches(&server.labels)));
            let held: Vec<_> = held.map(|(id, _)| json!({ "type": "server", "server": { "id": id } })).collect();
            json!({ "type": "label_selector", "label_selector": { "selector": text }, "applied_to_resources": held })
        });
        json!({
            "id": id,
            "name": firewall.name,
            "labels": firewall.labels,
            "rules": firewall.rules,
            "applied_to": servers.chain(selectors).collect::<Vec<_>>(),
            "created": rfc3339(firewall.created),
        })
    }

    pub(crate) fn create_firewall(&mut self, input: &Input, now: Time) -> Outcome<Value> {
        let name = input.required_text("name")?.to_owned();
        if self.firewalls.values().any(|firewall| firewall.name == name) {
            return Err(ApiError::not_unique("name"));
        }
        let (servers, selectors) = self.resources(&input.list("apply_to")?)?;
        let firewall = Firewall {
            name,
            labels: labels::parse(input.get("labels"))?,
            rules: rules(&input.list("rules")?)?,
            servers,
            selectors,
            created: now,
        };
        let id = self.id();
        self.firewalls.insert(id, firewall);
        let action = self.done("set_firewall_rules", &[("firewall", id)], now)?;
        let mut answer = self.firewall_json(id)?;
        answer["actions"] = json!([action]);
        Ok(answer)
    }

    pub(crate) fn change_firewall(&mut self, id: u64, input: &Input) -> Outcome<Value> {
        let name = input.text("name")?.map(str::to_owned);
        if name.as_ref().is_some_and(|name| self.firewalls.iter().any(|(of, other)| *of != id && other.name == *name)) {
            return Err(ApiError::not_unique("name"));
        }
        let labels = Some(input.get("labels")).filter(|labels| !labels.is_null()).map(labels::parse).transpose()?;
        let firewall = self.firewall(id)?;
        firewall.name = name.unwrap_or_else(|| firewall.name.clone());
        firewall.labels = labels.unwrap_or_else(|| firewall.labels.clone());
        self.firewall_json(id)
    }

    pub(crate) fn delete_firewall(&mut self, id: u64) -> Outcome<()> {
        let firewall = self.firewall(id)?;
        if !firewall.servers.is_empty() || !firewall.selectors.is_empty() {
            return Err(ApiError::new(422, "resource_in_use", "firewall is still applied to resources"));
        }
        self.firewalls.remove(&id);
        Ok(())
    }

    pub(crate) fn act_on_firewall(&mut self, id: u64, action: &str, input: &Input, now: Time) -> Outcome<Value> {
        let command = match action {
            "set_rules" => {
                let rules = rules(&input.list("rules")?)?;
                self.firewall(id)?.rules = rules;
                "set_firewall_rules"
            }
            "apply_to_resources" => {
                let (servers, selectors) = self.resources(&input.list("apply_to")?)?;
                let firewall = self.firewall(id)?;
                firewall.servers.extend(servers);
                firewall.selectors.extend(selectors);
                "apply_firewall"
            }
            "remove_from_resources" => {
                let (servers, selectors) = self.resources(&input.list("remove_from")?)?;
                let firewall = self.firewall(id)?;
                firewall.servers.retain(|server| !servers.contains(server));
                firewall.selectors.retain(|selector| !selectors.contains(selector));
                "remove_firewall"
            }
            _ => return Err(ApiError::new(404, "not_found", "action not found")),
        };
        let action = self.done(command, &[("firewall", id)], now)?;
        Ok(json!({ "actions": [action] }))
    }

    /// The firewalls that a new server names.
    pub(crate) fn firewalls_of(&self, list: &[Value]) -> Outcome<Vec<u64>> {
        list.iter()
            .map(|entry| {
                let id = entry["firewall"].as_u64().unwrap_or_default();
                self.firewalls.get(&id).map(|_| id).ok_or_else(|| ApiError::not_found("firewall", id))
            })
            .collect()
    }

    pub(crate) fn attach(&mut self, firewall: u64, server: u64) {
        if let Some(firewall) = self.firewalls.get_mut(&firewall) {
            firewall.servers.insert(server);
        }
    }

    fn resources(&self, list: &[Value]) -> Outcome<(BTreeSet<u64>, BTreeSet<String>)> {
        let (mut servers, mut selectors) = (BTreeSet::new(), BTreeSet::new());
        for resource in list {
            match (resource["type"].as_str(), &resource["server"]["id"], &resource["label_selector"]["selector"]) {
                (Some("server"), id, _) => {
                    let id = id.as_u64().unwrap_or_default();
                    self.server(id)?;
                    servers.insert(id);
                }
                (Some("label_selector"), _, Value::String(selector)) => {
                    Selector::parse(selector)?;
                    selectors.insert(selector.clone());
                }
                _ => return Err(ApiError::invalid("apply_to", "must be servers or label selectors")),
            }
        }
        Ok((servers, selectors))
    }
}

/// Rules as Hetzner gives them back: with everything that was left out.
fn rules(list: &[Value]) -> Outcome<Vec<Value>> {
    let refused = |problem| Err(ApiError::invalid("rules", problem));
    let mut rules = Vec::new();
    for rule in list {
        let (direction, protocol) = (rule["direction"].as_str(), rule["protocol"].as_str().unwrap_or_default());
        if !matches!(direction, Some("in" | "out")) {
            return refused("direction must be in or out");
        }
        let has_ports = matches!(protocol, "tcp" | "udp");
        if !has_ports && !matches!(protocol, "icmp" | "esp" | "gre") {
            return refused("unknown protocol");
        }
        if has_ports == rule["port"].is_null() {
            return refused("tcp and udp have a port, and no other protocol has");
        }
        let addresses = |key: &str| if rule[key].is_null() { json!([]) } else { rule[key].clone() };
        rules.push(json!({
            "direction": direction, "protocol": protocol, "port": rule["port"], "description": rule["description"],
            "source_ips": addresses("source_ips"), "destination_ips": addresses("destination_ips"),
        }));
    }
    Ok(rules)
}
