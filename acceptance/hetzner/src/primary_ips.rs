//! Primary IPs: addresses that may outlive their server.

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use serde_json::{Value, json};

use crate::catalogue;
use crate::error::{ApiError, Outcome};
use crate::input::Input;
use crate::labels::{self, Labels};
use crate::project::Project;
use crate::time::{Time, rfc3339};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    Ipv4,
    Ipv6,
}

impl Family {
    fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }
}

/// One primary IP.
#[derive(Debug, Clone)]
pub(crate) struct PrimaryIp {
    pub(crate) family: Family,
    pub(crate) assignee: Option<u64>,
    pub(crate) auto_delete: bool,
    pub(crate) blocked: bool,
    pub(crate) location: Value,
    name: String,
    address: String,
    labels: Labels,
    created: Time,
}

impl PrimaryIp {
    pub(crate) fn new(name: String, family: Family, address: String, location: Value, created: Time) -> Self {
        let labels = Labels::new();
        Self { family, assignee: None, auto_delete: false, blocked: false, location, name, address, labels, created }
    }

    /// As a server's `public_net` shows it.
    pub(crate) fn of_server(&self, id: u64) -> Value {
        let dns_ptr = match self.family {
            Family::Ipv4 => json!(format!("static.{}.clients.your-server.de", self.address)),
            Family::Ipv6 => json!([]),
        };
        json!({ "id": id, "ip": self.address, "blocked": self.blocked, "dns_ptr": dns_ptr })
    }

    fn json(&self, id: u64) -> Value {
        json!({
            "id": id,
            "name": self.name,
            "ip": self.address,
            "type": self.family.name(),
            "assignee_id": self.assignee,
            "assignee_type": "server",
            "auto_delete": self.auto_delete,
            "blocked": self.blocked,
            "dns_ptr": [],
            "labels": self.labels,
            "location": self.location,
            "protection": { "delete": false },
            "created": rfc3339(self.created),
        })
    }

    /// The address without a length, by which lists are filtered: that of a network is its first.
    fn is_at(&self, address: &str) -> bool {
        let network = self.address.parse().map_or(Ipv6Addr::UNSPECIFIED, |net: Ipv6Net| net.addr());
        self.address == address || network.to_string() == address
    }
}

impl Project {
    pub(crate) fn primary_ip(&self, id: u64) -> Outcome<&PrimaryIp> {
        self.primary_ips.get(&id).ok_or_else(|| ApiError::not_found("primary IP", id))
    }

    pub(crate) fn primary_ips_json(&self, at: Option<&str>) -> Vec<Value> {
        let wanted = |ip: &PrimaryIp| at.is_none_or(|address| ip.is_at(address));
        self.primary_ips.iter().filter(|(_, ip)| wanted(ip)).map(|(id, ip)| ip.json(*id)).collect()
    }

    pub(crate) fn primary_ip_json(&self, id: u64) -> Outcome<Value> {
        Ok(json!({ "primary_ip": self.primary_ip(id)?.json(id) }))
    }

    pub(crate) fn create_primary_ip(&mut self, input: &Input, now: Time) -> Outcome<Value> {
        let name = input.required_text("name")?.to_owned();
        if self.primary_ips.values().any(|ip| ip.name == name) {
            return Err(ApiError::not_unique("name"));
        }
        let family = match input.required_text("type")? {
            "ipv4" => Family::Ipv4,
            "ipv6" => Family::Ipv6,
            _ => return Err(ApiError::invalid("type", "must be ipv4 or ipv6")),
        };
        if input.required_text("assignee_type")? != "server" {
            return Err(ApiError::invalid("assignee_type", "must be server"));
        }
        let assignee = input.number("assignee_id")?;
        let location = match (assignee, input.text("location")?) {
            (Some(server), _) => self.server_json(server)?["server"]["location"].take(),
            (None, Some(location)) => catalogue::find(catalogue::locations(), "location", location)?,
            (None, None) => return Err(ApiError::invalid("location", "is required")),
        };
        let labels = labels::parse(input.get("labels"))?;
        let auto_delete = input.flag("auto_delete", false)?;
        if let Some(server) = assignee {
            self.may_have(server, family)?;
        }
        let (id, address) = (self.id(), self.address(family));
        let ip = PrimaryIp { labels, auto_delete, ..PrimaryIp::new(name, family, address, location, now) };
        self.primary_ips.insert(id, ip);
        let mut answer = self.primary_ip_json(id)?;
        if let Some(server) = assignee {
            let action = self.assign(id, server, now)?;
            answer = self.primary_ip_json(id)?;
            answer["action"] = action;
        }
        Ok(answer)
    }

    pub(crate) fn change_primary_ip(&mut self, id: u64, input: &Input) -> Outcome<Value> {
        self.primary_ip(id)?;
        let name = input.text("name")?.map(str::to_owned);
        if name.as_ref().is_some_and(|name| self.primary_ips.iter().any(|(of, ip)| *of != id && ip.name == *name)) {
            return Err(ApiError::not_unique("name"));
        }
        let labels = Some(input.get("labels")).filter(|labels| !labels.is_null()).map(labels::parse).transpose()?;
        if let Some(ip) = self.primary_ips.get_mut(&id) {
            ip.auto_delete = input.flag("auto_delete", ip.auto_delete)?;
            ip.name = name.unwrap_or_else(|| ip.name.clone());
            ip.labels = labels.unwrap_or_else(|| ip.labels.clone());
        }
        self.primary_ip_json(id)
    }

    pub(crate) fn delete_primary_ip(&mut self, id: u64) -> Outcome<()> {
        if self.primary_ip(id)?.assignee.is_some() {
            return Err(ApiError::new(422, "must_be_unassigned", "primary IP must be unassigned before it is deleted"));
        }
        self.primary_ips.remove(&id);
        Ok(())
    }

    pub(crate) fn act_on_primary_ip(&mut self, id: u64, action: &str, input: &Input, now: Time) -> Outcome<Value> {
        let action = match action {
            "assign" => {
                let server =
                    input.number("assignee_id")?.ok_or_else(|| ApiError::invalid("assignee_id", "is required"))?;
                let ip = self.primary_ip(id)?;
                if ip.assignee.is_some() {
                    return Err(ApiError::new(422, "primary_ip_assigned", "primary IP is already assigned"));
                }
                self.may_have(server, ip.family)?;
                self.assign(id, server, now)?
            }
            "unassign" => {
                let ip = self.primary_ip(id)?;
                let server = ip.assignee;
                let server = server.ok_or_else(|| ApiError::new(422, "primary_ip_not_assigned", "not assigned"))?;
                self.is_off(server)?;
                if let Some(ip) = self.primary_ips.get_mut(&id) {
                    ip.assignee = None;
                }
                self.done("unassign_primary_ip", &[("primary_ip", id), ("server", server)], now)?
            }
            _ => return Err(ApiError::new(404, "not_found", "action not found")),
        };
        Ok(json!({ "action": action }))
    }

    fn assign(&mut self, id: u64, server: u64, now: Time) -> Outcome<Value> {
        if let Some(ip) = self.primary_ips.get_mut(&id) {
            ip.assignee = Some(server);
        }
        self.done("assign_primary_ip", &[("primary_ip", id), ("server", server)], now)
    }

    /// One address of a family, and only while the server is off.
    fn may_have(&self, server: u64, family: Family) -> Outcome<()> {
        self.is_off(server)?;
        let has = self.primary_ips.values().any(|ip| ip.assignee == Some(server) && ip.family == family);
        if has {
            Err(ApiError::new(422, "server_has_primary_ip", "server has a primary IP of this type"))
        } else {
            Ok(())
        }
    }

    fn is_off(&self, server: u64) -> Outcome<()> {
        if self.server(server)?.status == "off" {
            return Ok(());
        }
        Err(ApiError::new(422, "server_not_stopped", "server must be powered off"))
    }
}
