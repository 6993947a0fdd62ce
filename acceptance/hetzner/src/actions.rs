//! Actions: what takes time, and how far it is.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::error::{ApiError, Outcome};
use crate::time::{Time, rfc3339};

/// One action.
#[derive(Debug, Clone)]
struct Action {
    command: &'static str,
    started: Time,
    ends: Time,
    resources: Vec<(&'static str, u64)>,
}

/// Every action there was.
#[derive(Debug, Default)]
pub(crate) struct Actions {
    all: BTreeMap<u64, Action>,
}

impl Actions {
    pub(crate) fn start(
        &mut self,
        id: u64,
        command: &'static str,
        resources: &[(&'static str, u64)],
        now: Time,
        ends: Time,
    ) {
        self.all.insert(id, Action { command, started: now, ends, resources: resources.to_vec() });
    }

    pub(crate) fn get(&self, id: u64, now: Time) -> Outcome<Value> {
        self.all.get(&id).map(|action| action.json(id, now)).ok_or_else(|| ApiError::not_found("action", id))
    }

    /// Those of a resource.
    pub(crate) fn of(&self, kind: &str, id: u64, now: Time) -> Vec<Value> {
        let its = |action: &Action| action.resources.iter().any(|(other, of)| (*other, *of) == (kind, id));
        self.all.iter().filter(|(_, action)| its(action)).map(|(id, action)| action.json(*id, now)).collect()
    }
}

impl Action {
    fn json(&self, id: u64, now: Time) -> Value {
        let done = now >= self.ends;
        let whole = self.ends.saturating_sub(self.started).as_millis().max(1);
        let progress = if done { 100 } else { now.saturating_sub(self.started).as_millis() * 100 / whole };
        let resources: Vec<_> = self.resources.iter().map(|(kind, id)| json!({ "id": id, "type": kind })).collect();
        json!({
            "id": id,
            "command": self.command,
            "status": if done { "success" } else { "running" },
            "progress": u64::try_from(progress).unwrap_or(100),
            "started": rfc3339(self.started),
            "finished": done.then(|| rfc3339(self.ends)),
            "resources": resources,
            "error": null,
        })
    }
}
