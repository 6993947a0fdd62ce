//! The provider under the real Terraform: what an author sees, and what the translator is told.
//!
//! Without `terraform` on the PATH these tests fail: no stand-in knows what Terraform expects of a provider.
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod discovery;
mod drift;
mod errors;
mod groups;
mod lifecycle;
mod options;
mod secrets;
mod workspace;

use workspace::Workspace;

/// One gateway and one server.
const HOME: &str = r#"
resource "hetznat_gateway" "home" {
  name = "home"
}
resource "hetznat_peer" "web" {
  gateway  = hetznat_gateway.home.link
  name     = "web"
  endpoint = "2001:DB8:1:2::/64"
}
"#;

/// Stands in for hcloud_server: it is replaced when its user data changes.
const SERVER: &str = r#"
resource "terraform_data" "server" {
  triggers_replace = [hetznat_peer.web.user_data]
}
"#;

fn applied(resources: &str) -> Workspace {
    let workspace = Workspace::with(resources);
    workspace.apply().succeeds();
    workspace
}
