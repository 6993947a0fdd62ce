//! What can be said of a group before it is applied.

use cloud_init::Format;
use contract::{GATEWAY_LABEL, GROUP_LABEL, Group, LabelSelector, Name};
use tfplugin5::{Diagnostic, PlanContext};

use super::PeerGroup;
use crate::attributes::Link;
use crate::first_boot::Wishes;

impl PeerGroup {
    pub(super) fn complete_plan(&mut self, cx: &mut PlanContext<'_, Self>) {
        if cx.config.render_format.is_null() && self.render_format.is_unknown() {
            self.render_format = Format::default().number().into();
        }
        self.name_it();
        let problems = self.name_problem().into_iter().chain(Link::resolver_problem(&self.gateway, &self.dns));
        for diagnostic in problems.chain(self.wishes().problem(cloud_init::check_members)) {
            cx.diagnostics.push(diagnostic);
        }
        let Some(prior) = cx.prior else { return };
        if self.secret != prior.secret {
            cx.diagnostics.push(rotation());
        }
    }

    /// Sets what follows from the gateway's name and the group's own.
    pub(super) fn name_it(&mut self) {
        (self.id, self.labels) = Link::identify(&self.gateway, &self.name, GROUP_LABEL);
    }

    /// What the author asks of the first boot.
    pub(super) fn wishes(&self) -> Wishes<'_> {
        let Self { render_format, extra_user_data, metadata_guard, docker, .. } = self;
        Wishes { render_format, extra_user_data, metadata_guard, docker }
    }

    fn name_problem(&self) -> Option<Diagnostic> {
        let problem = Group::name_problem(self.name.known()?)?;
        Some(Diagnostic::error(format!("name {problem}")).at("name"))
    }
}

/// The servers that have the group's labels.
pub(super) fn own_selector(gateway: &Name, group: &Name) -> LabelSelector {
    LabelSelector::equals(GATEWAY_LABEL, gateway).and(&LabelSelector::equals(GROUP_LABEL, group))
}

fn rotation() -> Diagnostic {
    Diagnostic::warning("the group's secret changes, and with it the user_data of its servers").detail(
        "Servers that run stay members with the secret they were created with, until accept_previous is false or rotate \
         changes again. Replace them before that.",
    )
}

#[cfg(test)]
mod tests {
    use tfplugin5::testing::{accepts, object, plan};
    use tfplugin5::{Model as _, Value};

    use super::*;

    fn config(name: &str) -> Value {
        let link = object([
            ("id", "home".into()),
            ("public_key", "mBH3W0yK1c0nJ3W6dK0o5Oq0lEwq8n0q9dVZ0bG7vXA=".into()),
            ("pool6", "64:ff9b::/96".into()),
            ("address6", "fd64:ff9b::1".into()),
            ("address4", "198.18.0.1".into()),
        ]);
        object([("name", name.into()), ("gateway", link)])
    }

    #[test]
    fn the_schema_is_sound() {
        assert_eq!(PeerGroup::schema().check(), Ok(()));
    }

    #[test]
    fn a_new_group_shows_its_labels_and_no_secret() {
        let planned = plan::<PeerGroup>(&Value::Null, &config("workers"), b"").unwrap();

        assert_eq!(accepts::<PeerGroup>(&Value::Null, &config("workers"), &planned.value), Ok(()));
        assert_eq!(planned.value.attribute("id"), &Value::from("home/workers"));
        assert_eq!(planned.value.attribute("labels").attribute("hetznat-group"), &Value::from("workers"));
        for unknown in ["secret", "previous_secret", "user_data"] {
            assert_eq!(planned.value.attribute(unknown), &Value::Unknown, "{unknown}");
        }
    }

    #[test]
    fn what_cannot_ride_along_is_an_error_at_plan_as_for_a_peer() {
        let refused = |(attribute, value): (&str, Value), format: i64| {
            let Value::Map(mut config) = config("workers") else { panic!("a configuration is an object") };
            config.extend([(attribute.to_owned(), value), ("render_format".to_owned(), format.into())]);
            plan::<PeerGroup>(&Value::Null, &Value::Map(config), b"").unwrap().diagnostics.0[0].summary.clone()
        };

        assert!(refused(("extra_user_data", "packages: []".into()), 2).contains("cloud-init ignores"));
        assert!(refused(("metadata_guard", true.into()), 1).contains("needs render_format = 2"));
        assert!(refused(("docker", true.into()), 3).contains("render_format must be 1 or 2 (got 3)"));
    }

    #[test]
    fn a_name_that_leaves_no_room_for_instance_ids_is_refused_at_plan() {
        let planned = plan::<PeerGroup>(&Value::Null, &config(&"a".repeat(47)), b"").unwrap();

        assert!(planned.diagnostics.0[0].summary.contains("at most 46"), "{:?}", planned.diagnostics);
    }
}
