//! Lists of addresses as BIND writes them: the first entry that matches decides, `!` in front of it says no.

use std::net::IpAddr;

use ipnet::IpNet;

/// Who or what is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressList(Vec<Entry>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    /// `None`: any address.
    net: Option<IpNet>,
    says: Matched,
}

/// What a list says about an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matched {
    Yes,
    /// Not on the list, or on it with a `!`.
    No,
}

/// Which addresses make sense on a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
    Both,
}

/// Lists of this length are looked through for every query.
const MOST_ENTRIES: usize = 1_024;

impl AddressList {
    /// Every address.
    pub fn any() -> Self {
        Self(vec![Entry { net: None, says: Matched::Yes }])
    }

    /// The addresses in these prefixes.
    pub fn of(nets: impl IntoIterator<Item = IpNet>) -> Self {
        Self(nets.into_iter().map(|net| Entry { net: Some(net.trunc()), says: Matched::Yes }).collect())
    }

    /// Reads entries like `10.0.0.0/8`, `!192.0.2.1`, `any`.
    ///
    /// # Errors
    /// Which entry is none, and why.
    pub fn parse<'t>(entries: impl IntoIterator<Item = &'t str>, family: Family) -> Result<Self, String> {
        let entries: Vec<_> = entries.into_iter().map(|text| entry(text, family)).collect::<Result<_, _>>()?;
        if entries.len() > MOST_ENTRIES {
            return Err(format!("{} entries are more than {MOST_ENTRIES}", entries.len()));
        }
        Ok(Self(entries))
    }

    /// What the list says about `address`.
    pub fn matches(&self, address: IpAddr) -> Matched {
        let hit = self.0.iter().find(|entry| entry.net.is_none_or(|net| net.contains(&address)));
        hit.map_or(Matched::No, |entry| entry.says)
    }
}

fn entry(text: &str, family: Family) -> Result<Entry, String> {
    let (says, what) = match text.strip_prefix('!') {
        Some(rest) => (Matched::No, rest.trim_start()),
        None => (Matched::Yes, text),
    };
    match what {
        "any" => return Ok(Entry { net: None, says }),
        "none" => {
            let says = if says == Matched::Yes { Matched::No } else { Matched::Yes };
            return Ok(Entry { net: None, says });
        }
        _ => {}
    }
    let net = what.parse::<IpNet>().or_else(|_| what.parse::<IpAddr>().map(IpNet::from));
    let net = net.map_err(|_| format!("{text:?} is neither an address, nor a prefix, nor any"))?;
    if net.trunc() != net {
        return Err(format!("{text:?} has bits set behind its prefix; did you mean {}?", net.trunc()));
    }
    match (family, net) {
        (Family::V4, IpNet::V6(_)) => Err(format!("{text:?} is IPv6, and this list is of IPv4 addresses")),
        (Family::V6, IpNet::V4(_)) => Err(format!("{text:?} is IPv4, and this list is of IPv6 addresses")),
        (Family::V4 | Family::Both, IpNet::V4(_)) | (Family::V6 | Family::Both, IpNet::V6(_)) => {
            Ok(Entry { net: Some(net), says })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(list: &[&str], address: &str) -> Matched {
        let list = AddressList::parse(list.iter().copied(), Family::Both).unwrap();
        list.matches(address.parse().unwrap())
    }

    #[test]
    fn the_first_entry_that_matches_decides() {
        let list = ["!10.1.0.0/16", "10.0.0.0/8", "!any", "2001:db8::/32"];

        assert_eq!(says(&list, "10.1.2.3"), Matched::No);
        assert_eq!(says(&list, "10.2.2.3"), Matched::Yes);
        assert_eq!(says(&list, "2001:db8::1"), Matched::No);
    }

    #[test]
    fn what_is_not_on_the_list_is_not_meant() {
        assert_eq!(says(&[], "10.1.2.3"), Matched::No);
        assert_eq!(says(&["192.0.2.1"], "192.0.2.2"), Matched::No);
        assert_eq!(says(&["none"], "192.0.2.2"), Matched::No);
        assert_eq!(says(&["::/0"], "192.0.2.2"), Matched::No);
        assert_eq!(says(&["!none"], "192.0.2.2"), Matched::Yes);
    }
}
