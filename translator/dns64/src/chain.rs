//! From a name to its records: the aliases on the way (RFC 6147 §5.1.5), and only what belongs to it.

use crate::codes::{Rcode, RecordType};
use crate::name::{Name, NameRef};
use crate::wire::{Malformed, Message, Record};

/// Longer chains of aliases are an error.
pub const MOST_ALIASES: usize = 16;

/// What an answer says about a name, without what nobody asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Aliases in their order, then the records at the last name; each set with its signatures.
    pub answers: Vec<Record>,
    /// The last name.
    pub end: Name,
    /// Whether the question has to be asked again, for [`Self::end`].
    pub is_open: bool,
}

/// Follows the aliases in an answer to a question for the records of `rtype` at `name`.
///
/// # Errors
/// They go in a circle, or there are more than [`MOST_ALIASES`].
pub fn follow(message: &Message, name: NameRef<'_>, rtype: RecordType) -> Result<Step, Malformed> {
    let mut step = Step { answers: Vec::new(), end: name.to_name(), is_open: false };
    for _ in 0..=MOST_ALIASES {
        if step.take(message, rtype) {
            return Ok(step);
        }
        let Some(target) = step.alias(message) else {
            step.is_open = step.is_unfinished(message, name);
            return Ok(step);
        };
        step.end = target;
    }
    Err(Malformed)
}

impl Step {
    /// Keeps the records that were asked for, if they are there.
    fn take(&mut self, message: &Message, rtype: RecordType) -> bool {
        let any = rtype == RecordType::ANY;
        let is_wanted = |record: &&Record| {
            record.owner == self.end && (any || record.rtype == rtype || record.as_ref().covered() == Some(rtype))
        };
        let found: Vec<Record> = message.answers.iter().filter(is_wanted).cloned().collect();
        let is_there = found.iter().any(|record| any || record.rtype == rtype);
        if is_there {
            self.answers.extend(found);
        }
        is_there
    }

    /// Keeps the alias at the last name, with the DNAME it comes from; where it leads.
    fn alias(&mut self, message: &Message) -> Option<Name> {
        let end = self.end.clone();
        let is_alias = |record: &&Record| record.rtype == RecordType::CNAME && record.owner == end;
        let dname = message.answers.iter().find(|record| leads_away(record, end.as_ref()));
        if let Some(dname) = dname {
            self.keep(message, dname);
        }
        if let Some(cname) = message.answers.iter().find(is_alias) {
            let target = cname.as_ref().target()?.to_name();
            self.keep(message, cname);
            return Some(target);
        }
        // RFC 6672 §3.1: a resolver makes the CNAME that is missing.
        let target = substitute(dname?, end.as_ref())?;
        let rdata = target.as_ref().as_bytes().into();
        self.answers.push(Record { owner: end, rtype: RecordType::CNAME, ttl: dname?.ttl, rdata });
        Some(target)
    }

    fn keep(&mut self, message: &Message, alias: &Record) {
        let covers = |record: &&Record| record.owner == alias.owner && record.as_ref().covered() == Some(alias.rtype);
        if !self.answers.contains(alias) {
            self.answers.push(alias.clone());
            self.answers.extend(message.answers.iter().filter(covers).cloned());
        }
    }

    /// An alias without anything behind it is the end only if a SOA record above the last name says so.
    fn is_unfinished(&self, message: &Message, name: NameRef<'_>) -> bool {
        let says_so = |record: &Record| {
            record.rtype == RecordType::SOA && self.end.as_ref().is_at_or_below(record.owner.as_ref())
        };
        message.rcode == Rcode::NO_ERROR && self.end.as_ref() != name && !message.authority.iter().any(says_so)
    }
}

fn leads_away(record: &Record, name: NameRef<'_>) -> bool {
    record.rtype == RecordType::DNAME && name != record.owner.as_ref() && name.is_at_or_below(record.owner.as_ref())
}

/// The name that a DNAME record makes of `name` (RFC 6672 §2.2).
pub fn substitute(dname: &Record, name: NameRef<'_>) -> Option<Name> {
    let mut target = dname.as_ref().target()?.to_name();
    let above = dname.owner.as_ref().label_count();
    let labels: Vec<_> = name.labels().take(name.label_count() - above).collect();
    for label in labels.into_iter().rev() {
        target = Name::child(label, target.as_ref())?;
    }
    Some(target)
}
