//! A resolver around the pure core: it has a clock that stands still, and an upstream that is a table.

use std::net::IpAddr;

use dns64::{
    Cache, Dnssec, Ede, Healthy, Key, Limits, Local, Message, Name, Outcome, Policy, Query, Rcode, Record, RecordType,
    Reply, Security, Seen, Transport, Verdict, decide, follow, local, ptr_reply, write_question,
};

/// What the upstream says to one question.
#[derive(Clone, Default)]
pub(crate) struct Script {
    pub(crate) rcode: Rcode_,
    pub(crate) answers: Vec<Record>,
    pub(crate) authority: Vec<Record>,
    pub(crate) additional: Vec<Record>,
    pub(crate) is_silent: bool,
    pub(crate) security: Option<Security>,
}

/// [`Rcode`] with a default.
#[derive(Clone, Copy)]
pub(crate) struct Rcode_(pub(crate) Rcode);

impl Default for Rcode_ {
    fn default() -> Self {
        Self(Rcode::NO_ERROR)
    }
}

pub(crate) struct Resolver {
    pub(crate) policy: Policy,
    pub(crate) healthy: Healthy,
    pub(crate) now_ms: u64,
    pub(crate) table: Vec<(Name, RecordType, Script)>,
    pub(crate) log: Vec<(Name, RecordType)>,
    cache: Cache,
}

/// One question of a client.
pub(crate) struct Asked {
    pub(crate) name: Name,
    pub(crate) rtype: RecordType,
    pub(crate) class: u16,
    pub(crate) client: IpAddr,
    pub(crate) flags: Dnssec,
    pub(crate) recursion_desired: bool,
    /// `None`: no EDNS.
    pub(crate) payload: Option<u16>,
    pub(crate) transport: Transport,
}

impl Asked {
    pub(crate) fn new(name: Name, rtype: RecordType) -> Self {
        let flags = Dnssec { records: false, unchecked: false };
        let client = "2001:db8::99".parse().unwrap();
        let payload = Some(4_096);
        Self { name, rtype, class: 1, client, flags, recursion_desired: true, payload, transport: Transport::Udp }
    }

    fn message(&self) -> Vec<u8> {
        let mut message = Vec::new();
        write_question(&mut message, 0x4242, self.name.as_ref(), self.rtype, self.flags);
        let class_at = 12 + self.name.as_ref().as_bytes().len() + 2;
        message[class_at..class_at + 2].copy_from_slice(&self.class.to_be_bytes());
        message[2] = u8::from(self.recursion_desired);
        match self.payload {
            Some(payload) => message[class_at + 5..class_at + 7].copy_from_slice(&payload.to_be_bytes()),
            None => {
                message.truncate(class_at + 2);
                message[11] = 0;
            }
        }
        message
    }
}

impl Resolver {
    pub(crate) fn new(policy: Policy) -> Self {
        let cache = Cache::new(Limits { entries: 100, bytes: 1 << 20 }, 7);
        Self { policy, healthy: Healthy::ALL, now_ms: 1_000_000, table: Vec::new(), log: Vec::new(), cache }
    }

    /// The message that a client gets.
    pub(crate) fn ask(&mut self, asked: &Asked) -> Vec<u8> {
        let message = asked.message();
        let query = Query::parse(&message).unwrap();
        let policy = self.policy.clone();
        let view = policy.view(asked.client, query.recursion_desired(), self.healthy);
        let mut out = Vec::new();
        match local(view, &query) {
            _ if query.class != 1 => Reply::refused(Ede::OTHER).write(&query, asked.transport, &mut out),
            Local::Answer(reply) => reply.write(&query, asked.transport, &mut out),
            Local::Reverse(name) => {
                let outcome = self.lookup(&name, RecordType::PTR, 0);
                let seen = Seen::new(&outcome.0, name.as_ref(), outcome.1);
                ptr_reply(&query, name.as_ref(), seen).write(&query, asked.transport, &mut out);
            }
            Local::Ordinary => {
                let (first, age) = self.lookup(&asked.name, asked.rtype, 0);
                let seen = Seen::new(&first, asked.name.as_ref(), age);
                if asked.rtype != RecordType::AAAA {
                    Reply::raw(&query, seen).write(&query, asked.transport, &mut out);
                    return out;
                }
                match decide(view, &query, seen, None) {
                    Verdict::Answer(reply) => reply.write(&query, asked.transport, &mut out),
                    Verdict::AskA => {
                        let (a, age) = self.lookup(&asked.name, RecordType::A, 0);
                        let a = Seen::new(&a, asked.name.as_ref(), age);
                        let Verdict::Answer(reply) = decide(view, &query, seen, Some(a)) else {
                            panic!("both are there")
                        };
                        reply.write(&query, asked.transport, &mut out);
                    }
                }
            }
        }
        out
    }

    /// The outcome of a question and its age in seconds.
    fn lookup(&mut self, name: &Name, rtype: RecordType, depth: usize) -> (Outcome, u32) {
        let key = Key { name: name.as_ref(), rtype, flavour: 0 };
        if let Some(slot) = self.cache.find(self.now_ms, key) {
            let seen = self.cache.get(self.now_ms, slot);
            let sections = [seen.answers(), seen.authority(), seen.additional()];
            let [a, b, c] = sections.map(|records| records.map(|record| record.to_record()).collect::<Vec<_>>());
            return (Outcome::new(name.as_ref(), seen.rcode(), seen.security(), [&a, &b, &c]), 0);
        }
        let outcome = self.upstream(name, rtype, depth);
        self.cache.insert(self.now_ms, key, &outcome);
        (outcome, 0)
    }

    fn upstream(&mut self, name: &Name, rtype: RecordType, depth: usize) -> Outcome {
        self.log.push((name.clone(), rtype));
        let script = self.script(name, rtype);
        if script.is_silent || depth > 16 {
            return Outcome::failure(Ede::NO_REACHABLE_AUTHORITY);
        }
        let message = Message {
            id: 0,
            flags: 0x8000,
            rcode: script.rcode.0,
            question: None,
            answers: script.answers,
            authority: script.authority,
            additional: script.additional,
            edns: None,
            ede: None,
        };
        let Ok(step) = follow(&message, name.as_ref(), rtype) else { return Outcome::failure(Ede::INVALID_DATA) };
        let security = script.security.unwrap_or(Security::Insecure);
        if !step.is_open {
            let sections = [&step.answers[..], &message.authority, &message.additional];
            return Outcome::new(name.as_ref(), message.rcode, security, sections);
        }
        let (rest, _) = self.lookup(&step.end, rtype, depth + 1);
        let rest = Seen::new(&rest, step.end.as_ref(), 0);
        let answers: Vec<_> = step.answers.into_iter().chain(rest.answers().map(|record| record.to_record())).collect();
        let authority: Vec<_> = rest.authority().map(|record| record.to_record()).collect();
        Outcome::new(name.as_ref(), rest.rcode(), security, [&answers, &authority, &[]])
    }

    /// As a server says it that knows the names of the table and nothing else.
    fn script(&self, name: &Name, rtype: RecordType) -> Script {
        let of_name = || self.table.iter().filter(|(owner, _, _)| owner == name);
        if let Some((_, _, script)) = of_name().find(|(_, kind, _)| *kind == rtype) {
            return script.clone();
        }
        let is_there = self.table.iter().any(|(owner, _, _)| owner.as_ref().is_at_or_below(name.as_ref()));
        let rcode = if is_there { Rcode::NO_ERROR } else { Rcode::NX_DOMAIN };
        let soa = crate::text::record(". 60 SOA a.root. nobody.root. 1 1800 900 604800 60");
        Script { rcode: Rcode_(rcode), authority: vec![soa], ..Script::default() }
    }
}
