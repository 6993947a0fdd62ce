//! User data that many servers share: each makes its key and its tunnel IPv4 of the group's secret and of its instance id
//! with Python's standard library, and then boots like any other peer.
//!
//! At each boot anew: a server that was made of another one's snapshot is another server.

use std::net::{Ipv4Addr, Ipv6Addr};

use contract::{GroupSecret, MemberAddresses, Name, Pool6, PrivateKey, PublicKey};
use zeroize::Zeroizing;

use crate::user_data::{
    CHECKED_BYTES, MAX_USER_DATA_BYTES, Script, id_of, incompressible, incompressible_address, incompressible_names,
    limited, sealed,
};
use crate::{Dns, FirstBoot, RenderError, template};

const BOOTHOOK: &str = include_str!("server/member.sh");
const MEMBER: &str = include_str!("server/member.py");

/// The servers of a group, and the gateway they belong to.
#[derive(Debug, Clone)]
pub struct Members<'a> {
    /// The group's name.
    pub group: &'a Name,
    /// The gateway's name; only ever shown.
    pub gateway_name: &'a str,
    /// What they make their keys of.
    pub secret: &'a GroupSecret,
    /// Where they get their tunnel IPv4 from.
    pub addresses: MemberAddresses,
    /// The gateway's key.
    pub gateway_public_key: PublicKey,
    /// The prefix that stands for IPv4.
    pub pool6: &'a Pool6,
    /// The gateway's IPv6 address inside the tunnel.
    pub address6: Ipv6Addr,
    /// The gateway's IPv4 address inside the tunnel.
    pub address4: Ipv4Addr,
    /// Who resolves names.
    pub dns: Dns,
}

/// The user data for all members. Contains the group's secret.
///
/// # Errors
/// As [`crate::user_data()`].
pub fn member_user_data(members: &Members<'_>, boot: &FirstBoot<'_>) -> Result<Zeroizing<String>, RenderError> {
    if members.dns == Dns::Public && *members.pool6 != Pool6::default() {
        return Err(RenderError::PublicDnsNeedsWellKnownPrefix { pool6: *members.pool6 });
    }
    limited(boot, MAX_USER_DATA_BYTES, |boot| render(members, boot))
}

/// Whether the user data of any group can be rendered with this, before there is one.
///
/// # Errors
/// As [`crate::check`].
pub fn check_members(boot: &FirstBoot<'_>) -> Result<(), RenderError> {
    if boot.extra.is_none() {
        return boot.supported();
    }
    let (group, gateway_name) = incompressible_names();
    let members = Members {
        group: &group,
        gateway_name: &gateway_name,
        secret: &GroupSecret::from_random(incompressible("secret")),
        addresses: MemberAddresses { first: [198, 18, 128, 0].into(), count: 32_766 },
        gateway_public_key: PrivateKey::from_random(incompressible("public")).public_key(),
        pool6: &Pool6::default(),
        address6: incompressible_address(),
        address4: [198, 18, 0, 1].into(),
        dns: Dns::Public,
    };
    limited(boot, CHECKED_BYTES, |boot| render(&members, boot)).map(drop)
}

fn render(members: &Members<'_>, boot: &FirstBoot<'_>) -> Result<Zeroizing<String>, RenderError> {
    boot.supported()?;
    let name = format!("{}-@instance@", members.group);
    let script = Script {
        name: &name,
        gateway: &members.gateway_name.escape_default().to_string(),
        private_key: "@key@",
        ipv4: "@ipv4@",
        gateway_public_key: members.gateway_public_key,
        pool6: members.pool6,
        address6: members.address6,
        resolvers: &members.dns.resolvers(members.address6),
        guard: boot.guard(),
        docker: &boot.docker(members.dns, members.address4),
    }
    .render(boot.format);
    // Its own identity for every instance: what was installed for another is installed anew.
    let boothook = format!("ID={}-@instance@\n{}", id_of(&script), script.trim_end());
    let (secret, count) = (members.secret.to_base64(), members.addresses.count.to_string());
    let member = template::without_comments(MEMBER);
    let values = [
        ("secret", secret.as_str()),
        ("member.py", member.trim_end()),
        ("boothook", &boothook),
        ("first", &members.addresses.first.to_string()),
        ("count", &count),
    ];
    let mut output = Zeroizing::new(String::with_capacity(MAX_USER_DATA_BYTES));
    template::render(&template::without_comments(BOOTHOOK), &values, &mut output);
    sealed(&output, boot)
}
