//! What can be done to a server: power, and another image.

use serde_json::{Value, json};

use crate::catalogue;
use crate::error::{ApiError, Outcome};
use crate::input::Input;
use crate::project::{Effect, Project};
use crate::time::Time;

impl Project {
    pub(crate) fn act_on_server(&mut self, id: u64, action: &str, input: &Input, now: Time) -> Outcome<Value> {
        let status = self.server(id)?.status.clone();
        let (command, meanwhile, then) = match action {
            "poweron" => ("start_server", Some("starting"), "running"),
            "poweroff" => ("stop_server", Some("stopping"), "off"),
            "shutdown" => ("shutdown_server", Some("stopping"), "off"),
            "reboot" => ("reboot_server", None, "running"),
            "reset" => ("reset_server", None, "running"),
            "rebuild" => return self.rebuild(id, input, now),
            _ => return Err(ApiError::new(404, "not_found", "action not found")),
        };
        // What is on already, or off, stays so.
        let meanwhile = meanwhile.filter(|_| status != then);
        let action = self.act(id, command, meanwhile, Some(Effect::Status(then)), now)?;
        Ok(json!({ "action": action }))
    }

    /// Another disk for the same server: its id, its addresses and, unless there are others, its user data stay.
    fn rebuild(&mut self, id: u64, input: &Input, now: Time) -> Outcome<Value> {
        let server_type = self.server_json(id)?["server"]["server_type"].take();
        let image = catalogue::image_for(input.required_text("image")?, &server_type)?;
        let user_data = input.text("user_data")?.map(str::to_owned);
        let rebuilt = Effect::Status("running");
        let action = self.act(id, "rebuild_server", Some("rebuilding"), Some(rebuilt), now)?;
        if let Some(server) = self.servers.get_mut(&id) {
            server.image = image;
            server.user_data = user_data.unwrap_or_else(|| std::mem::take(&mut server.user_data));
        }
        Ok(json!({ "action": action, "root_password": null }))
    }
}
