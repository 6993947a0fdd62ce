//! NSEC records (RFC 4034 §4): the names of a zone in their order, each with its types.

use crate::codes::RecordType;
use crate::name::NameRef;
use crate::wire::RecordRef;

/// The data of an NSEC record and its owner.
pub(super) struct Nsec<'a> {
    owner: NameRef<'a>,
    next: NameRef<'a>,
    types: Types<'a>,
}

/// A bitmap of types (RFC 4034 §4.1.2).
#[derive(Clone, Copy)]
pub(super) struct Types<'a>(pub(super) &'a [u8]);

impl Types<'_> {
    pub(super) fn contain(self, rtype: RecordType) -> bool {
        let [high, low] = rtype.0.to_be_bytes();
        let mut rest = self.0;
        while let [window, length, behind @ ..] = rest {
            let Some((bits, next)) = behind.split_at_checked(usize::from(*length)) else { return false };
            if *window == high {
                return bits.get(usize::from(low / 8)).is_some_and(|octet| octet & 0x80 >> (low % 8) != 0);
            }
            rest = next;
        }
        false
    }

    /// A zone begins here, and this is what the zone above says about it.
    pub(super) fn are_of_a_delegation(self) -> bool {
        self.contain(RecordType::NS) && !self.contain(RecordType::SOA)
    }

    /// Whether a name with these types has no records of `rtype`, and is not answered by another name or zone instead.
    pub(super) fn deny(self, rtype: RecordType) -> bool {
        let is_other_side = match rtype {
            // RFC 4035 §5.2: of DS records only the zone above knows.
            RecordType::DS => self.contain(RecordType::SOA),
            _ => self.are_of_a_delegation(),
        };
        !self.contain(rtype) && !self.contain(RecordType::CNAME) && !is_other_side
    }
}

impl<'a> Nsec<'a> {
    pub(super) fn parse(record: RecordRef<'a>) -> Option<Self> {
        let next = NameRef::at_start_of(record.rdata)?;
        Some(Self { owner: record.owner, next, types: Types(&record.rdata[next.as_bytes().len()..]) })
    }

    /// Whether `name` lies between two names of the zone, so that it does not exist itself.
    fn covers(&self, name: NameRef<'_>) -> bool {
        let after = self.owner.canonical_cmp(name).is_lt();
        let before = name.canonical_cmp(self.next).is_lt();
        // The last record of a zone leads back to its first name.
        let is_last = self.next.canonical_cmp(self.owner).is_le();
        let is_between = if is_last { after && name.is_at_or_below(self.next) } else { after && before };
        // RFC 6840 §4.1: below a delegation or a DNAME the zone has nothing to say.
        let leads_away = self.types.are_of_a_delegation() || self.types.contain(RecordType::DNAME);
        is_between && !(leads_away && name.is_at_or_below(self.owner))
    }

    /// The longest name above `name` that the record shows to exist (RFC 4592 §3.3.1), in labels.
    fn closest_encloser(&self, name: NameRef<'_>) -> usize {
        common_labels(name, self.owner).max(common_labels(name, self.next))
    }
}

fn common_labels(a: NameRef<'_>, b: NameRef<'_>) -> usize {
    a.suffixes().find(|suffix| b.is_at_or_below(*suffix)).map_or(0, NameRef::label_count)
}

pub(super) fn no_data(records: &[Nsec<'_>], name: NameRef<'_>, rtype: RecordType) -> bool {
    let has_it_not = |nsec: &Nsec<'_>| nsec.owner == name && nsec.types.deny(rtype);
    // RFC 4035 §5.4: a name that only stands above others.
    let is_empty = |nsec: &Nsec<'_>| nsec.covers(name) && nsec.next.is_at_or_below(name);
    records.iter().any(|nsec| has_it_not(nsec) || is_empty(nsec)) || no_wildcard_data(records, name, rtype)
}

fn no_wildcard_data(records: &[Nsec<'_>], name: NameRef<'_>, rtype: RecordType) -> bool {
    let Some(covering) = records.iter().find(|nsec| nsec.covers(name)) else { return false };
    let encloser = name.last_labels(covering.closest_encloser(name));
    records.iter().any(|nsec| is_wildcard_at(nsec.owner, encloser) && nsec.types.deny(rtype))
}

fn is_wildcard_at(name: NameRef<'_>, encloser: NameRef<'_>) -> bool {
    name.first_label() == Some(b"*") && name.parent() == Some(encloser)
}

pub(super) fn no_name(records: &[Nsec<'_>], name: NameRef<'_>) -> bool {
    let Some(covering) = records.iter().find(|nsec| nsec.covers(name)) else { return false };
    if covering.next.is_at_or_below(name) {
        return false;
    }
    let encloser = name.last_labels(covering.closest_encloser(name));
    let wildcard = crate::name::Name::child(b"*", encloser);
    wildcard.is_some_and(|wildcard| records.iter().any(|nsec| nsec.covers(wildcard.as_ref())))
}

pub(super) fn no_closer(records: &[Nsec<'_>], name: NameRef<'_>, labels: usize) -> bool {
    records.iter().any(|nsec| nsec.covers(name) && nsec.closest_encloser(name) <= labels)
}

pub(super) fn is_unsigned_delegation(records: &[Nsec<'_>], name: NameRef<'_>) -> bool {
    let is_one = |nsec: &Nsec<'_>| nsec.types.are_of_a_delegation() && !nsec.types.contain(RecordType::DS);
    records.iter().any(|nsec| nsec.owner == name && is_one(nsec))
}
