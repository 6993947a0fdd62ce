//! Servers: created, listed, renamed, labelled, deleted.

use serde_json::{Value, json};

use crate::catalogue;
use crate::error::{ApiError, Outcome};
use crate::input::{Input, host_name};
use crate::labels::{self, Labels};
use crate::primary_ips::{Family, PrimaryIp};
use crate::project::{Effect, Project};
use crate::time::{Time, rfc3339};

/// What Hetzner takes as user data.
const MOST_USER_DATA_BYTES: usize = 32 * 1024;

/// One server.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) labels: Labels,
    pub(crate) status: String,
    pub(crate) image: Value,
    pub(crate) user_data: String,
    created: Time,
    server_type: Value,
    location: Value,
}

impl Project {
    pub(crate) fn server(&self, id: u64) -> Outcome<&Server> {
        self.servers.get(&id).ok_or_else(|| ApiError::not_found("server", id))
    }

    pub(crate) fn servers_json(&self) -> Vec<Value> {
        self.servers.iter().map(|(id, server)| self.json(*id, server)).collect()
    }

    pub(crate) fn server_json(&self, id: u64) -> Outcome<Value> {
        Ok(json!({ "server": self.json(id, self.server(id)?) }))
    }

    pub(crate) fn create_server(&mut self, input: &Input, now: Time) -> Outcome<Value> {
        let name = host_name(input.required_text("name")?)?;
        self.name_is_free(&name, None)?;
        let server_type =
            catalogue::find(catalogue::server_types(), "server_type", input.required_text("server_type")?)?;
        let image = catalogue::image_for(input.required_text("image")?, &server_type)?;
        let location = catalogue::find(catalogue::locations(), "location", input.text("location")?.unwrap_or("fsn1"))?;
        let user_data = input.text("user_data")?.unwrap_or_default();
        if user_data.len() > MOST_USER_DATA_BYTES {
            return Err(ApiError::invalid("user_data", "is too long (maximum is 32768 bytes)"));
        }
        let server = Server {
            name,
            labels: labels::parse(input.get("labels"))?,
            status: "initializing".to_owned(),
            image,
            user_data: user_data.to_owned(),
            created: now,
            server_type,
            location,
        };
        let firewalls = self.firewalls_of(&input.list("firewalls")?)?;
        let starts = input.flag("start_after_create", true)?;
        let net = input.part("public_net");
        self.check_public_net(&net, &server)?;

        let id = self.id();
        self.connect(id, &server, &net, now)?;
        self.servers.insert(id, server);
        firewalls.into_iter().for_each(|firewall| self.attach(firewall, id));
        let created = Effect::Status(if starts { "running" } else { "off" });
        let action = self.act(id, "create_server", None, Some(created), now)?;
        let next = if starts { vec![self.done("start_server", &[("server", id)], now)?] } else { Vec::new() };
        let server = self.json(id, self.server(id)?);
        Ok(json!({ "server": server, "action": action, "next_actions": next, "root_password": null }))
    }

    /// Hetzner wants a family, or a private network, which there is none of here.
    fn check_public_net(&self, net: &Input, server: &Server) -> Outcome<()> {
        if !net.flag("enable_ipv4", true)? && !net.flag("enable_ipv6", true)? {
            return Err(ApiError::invalid("public_net", "at least one public network must be enabled"));
        }
        for (key, family) in [("ipv4", Family::Ipv4), ("ipv6", Family::Ipv6)] {
            let Some(id) = net.number(key)? else { continue };
            let ip = self.primary_ip(id)?;
            if ip.family != family || ip.location["name"] != server.location["name"] {
                return Err(ApiError::invalid(key, "is of another type or in another location"));
            }
            if ip.assignee.is_some() {
                return Err(ApiError::new(422, "primary_ip_assigned", "primary IP is already assigned"));
            }
        }
        Ok(())
    }

    /// Gives a server the addresses it asks for: its author's, or new ones that go with it.
    fn connect(&mut self, id: u64, server: &Server, net: &Input, now: Time) -> Outcome<()> {
        for (key, flag, family) in [("ipv4", "enable_ipv4", Family::Ipv4), ("ipv6", "enable_ipv6", Family::Ipv6)] {
            if !net.flag(flag, true)? {
                continue;
            }
            let ip = match net.number(key)? {
                Some(given) => given,
                None => {
                    let (ip, address) = (self.id(), self.address(family));
                    let name = format!("primary_ip-{ip}");
                    let mut own = PrimaryIp::new(name, family, address, server.location.clone(), now);
                    own.auto_delete = true;
                    self.primary_ips.insert(ip, own);
                    ip
                }
            };
            if let Some(ip) = self.primary_ips.get_mut(&ip) {
                ip.assignee = Some(id);
            }
        }
        Ok(())
    }

    pub(crate) fn change_server(&mut self, id: u64, input: &Input) -> Outcome<Value> {
        self.server(id)?;
        let name = input.text("name")?.map(host_name).transpose()?;
        if let Some(name) = &name {
            self.name_is_free(name, Some(id))?;
        }
        let labels = Some(input.get("labels")).filter(|labels| !labels.is_null()).map(labels::parse).transpose()?;
        if let Some(server) = self.servers.get_mut(&id) {
            server.name = name.unwrap_or_else(|| server.name.clone());
            server.labels = labels.unwrap_or_else(|| server.labels.clone());
        }
        self.server_json(id)
    }

    pub(crate) fn delete_server(&mut self, id: u64, now: Time) -> Outcome<Value> {
        let action = self.act(id, "delete_server", Some("deleting"), Some(Effect::Removed), now)?;
        Ok(json!({ "action": action }))
    }

    fn name_is_free(&self, name: &str, own: Option<u64>) -> Outcome<()> {
        let taken = self.servers.iter().any(|(id, server)| Some(*id) != own && server.name == name);
        if taken { Err(ApiError::not_unique("name")) } else { Ok(()) }
    }

    fn json(&self, id: u64, server: &Server) -> Value {
        let of = |family| self.primary_ips.iter().find(|(_, ip)| ip.assignee == Some(id) && ip.family == family);
        let firewalls: Vec<Value> = self
            .firewalls
            .iter()
            .filter(|(_, firewall)| firewall.holds(id, &server.labels))
            .map(|(id, _)| json!({ "id": id, "status": "applied" }))
            .collect();
        let public_net = json!({
            "ipv4": of(Family::Ipv4).map(|(id, ip)| ip.of_server(*id)),
            "ipv6": of(Family::Ipv6).map(|(id, ip)| ip.of_server(*id)),
            "floating_ips": [],
            "firewalls": firewalls,
        });
        json!({
            "id": id,
            "name": server.name,
            "status": server.status,
            "created": rfc3339(server.created),
            "public_net": public_net,
            "private_net": [],
            "server_type": server.server_type,
            "location": server.location,
            "image": server.image,
            "iso": null,
            "rescue_enabled": false,
            "locked": server.status == "deleting",
            "backup_window": null,
            "outgoing_traffic": null,
            "ingoing_traffic": null,
            "included_traffic": 21_990_232_555_520_u64,
            "protection": { "delete": false, "rebuild": false },
            "labels": server.labels,
            "volumes": [],
            "load_balancers": [],
            "primary_disk_size": server.server_type["disk"],
            "placement_group": null,
        })
    }
}
