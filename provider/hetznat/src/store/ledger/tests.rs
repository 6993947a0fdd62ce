//! Edits that meet: in one process, in two, and with a store that loses races.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Mutex as StdMutex;

use contract::{Gateway, Name, Peer, Pool6, PrivateKey, PublicKey};
use ipnet::Ipv6Net;
use tokio::task::JoinSet;

use super::*;
use crate::store::Loaded;

#[tokio::test]
async fn two_hundred_edits_at_once_are_few_writes() {
    let home = tempfile::tempdir().unwrap();
    let ledger = ledger_with_gateway(home.path().join("state.json")).await;

    add_peers(&ledger, 0..200).await;

    let document = on_disk(home.path().join("state.json"));
    assert_eq!(peers(&document), 200);
    assert!(document.serial <= 40, "{} writes", document.serial);
}

#[tokio::test]
async fn peers_added_at_once_get_addresses_of_their_own() {
    let ledger = Ledger::over(Arc::new(Memory::default()));
    ledger.edit(add_gateway).await.unwrap();

    add_peers(&ledger, 0..50).await;

    let document = ledger.read().await.unwrap();
    let highest = document.gateways[&name("home")].peers.values().map(|peer| peer.ipv4).max();
    assert_eq!(highest, Some(Ipv4Addr::new(198, 18, 0, 51)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_ledgers_on_one_file_lose_nothing() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("state.json");
    let one = ledger_with_gateway(path.clone()).await;
    let other = Ledger::open(&path);

    tokio::join!(add_peers(&one, 0..40), add_peers(&other, 40..80));

    assert_eq!(peers(&on_disk(path)), 80);
}

#[tokio::test]
async fn an_edit_that_loses_a_race_runs_again_on_what_the_winner_wrote() {
    let store = Arc::new(Memory::default());
    let ledger = Ledger::over(store.clone());
    store.lose_next_saves(3);

    ledger.edit(add_gateway).await.unwrap();

    let document = store.document();
    assert_eq!((document.serial, store.saves(), document.other.len()), (4, 1, 3));
}

#[tokio::test]
async fn endless_races_end_in_an_error() {
    let store = Arc::new(Memory::default());
    let ledger = Ledger::over(store.clone());
    store.lose_next_saves(u32::MAX);

    let outcome = ledger.edit(add_gateway).await;

    assert!(matches!(outcome, Err(EditError::Store(StoreError::Contended { attempts: ATTEMPTS, .. }))));
}

#[tokio::test]
async fn an_edit_that_changes_nothing_writes_nothing() {
    let store = Arc::new(Memory::default());
    let ledger = Ledger::over(store.clone());
    ledger.edit(add_gateway).await.unwrap();

    ledger.edit(add_gateway).await.unwrap();
    let touch_serial = |document: &mut Document| {
        document.serial = 99;
        Ok::<_, Infallible>(())
    };
    ledger.edit(touch_serial).await.unwrap();

    assert_eq!((store.saves(), store.document().serial), (1, 1));
}

#[tokio::test]
async fn edits_that_fail_do_not_spoil_the_others() {
    let store = Arc::new(Memory::default());
    let ledger = Ledger::over(store.clone());

    let refused = ledger.edit(|document| {
        document.other.insert("half".to_owned(), true.into());
        Err::<(), _>("declined")
    });
    let invalid = ledger.edit(|document| {
        add_gateway(document)?;
        document.gateways.get_mut(&name("home")).unwrap().mtu = 576;
        Ok::<_, Infallible>(())
    });
    let panics = tokio::spawn({
        let ledger = ledger.clone();
        async move { ledger.edit(|_| -> Result<(), Infallible> { panic!("a bug in one resource") }).await }
    });
    let good = ledger.edit(add_gateway);
    let (refused, invalid, panics, good) = tokio::join!(refused, invalid, panics, good);

    assert!(matches!(refused, Err(EditError::Refused("declined"))));
    assert_eq!(invalid.unwrap_err().to_string(), "gateway home, mtu: must be at least 1280, not 576");
    assert!(panics.unwrap_err().is_panic());
    good.unwrap();
    assert_eq!((store.document().gateways.len(), store.document().other.len()), (1, 0));
}

#[tokio::test]
async fn two_hundred_reads_are_one_load() {
    let store = Arc::new(Memory::default());
    let ledger = Ledger::over(store.clone());

    let mut reads = JoinSet::new();
    for _ in 0..200 {
        let ledger = ledger.clone();
        reads.spawn(async move { ledger.read().await.unwrap() });
    }
    reads.join_all().await;

    assert_eq!(store.loads(), 1);
}

#[tokio::test]
async fn a_read_after_a_write_sees_it() {
    let ledger = Ledger::over(Arc::new(Memory::default()));
    assert_eq!(ledger.read().await.unwrap().gateways.len(), 0);

    ledger.edit(add_gateway).await.unwrap();

    assert_eq!(ledger.read().await.unwrap().gateways.len(), 1);
}

#[tokio::test]
async fn a_document_that_cannot_be_read_is_never_replaced() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("state.json");
    for content in ["", "{ \"format\": 1,", "{\"format\": 2, \"gateways\": 7}", "{\"format\": 1, \"serial\": 0}"] {
        fs::write(&path, content).unwrap();
        let ledger = Ledger::open(&path);

        assert!(ledger.read().await.is_err());
        assert!(matches!(ledger.edit(add_gateway).await, Err(EditError::Store(_))));

        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }
}

#[tokio::test]
async fn a_newer_document_asks_for_a_newer_provider() {
    let ledger = Ledger::over(Arc::new(Memory::holding("{\"format\": 2}")));

    let error = ledger.read().await.unwrap_err();

    insta::assert_snapshot!(error);
}

#[tokio::test]
async fn a_document_too_large_for_the_translator_is_not_written() {
    let store = Arc::new(Memory::default());
    let ledger = Ledger::over(store.clone());

    let outcome = ledger.edit(|document| {
        let text = "x".repeat(MAX_DOCUMENT_BYTES);
        document.other.insert("x-large".to_owned(), text.into());
        Ok::<_, Infallible>(())
    });

    assert!(matches!(outcome.await, Err(EditError::Store(StoreError::TooLarge { .. }))));
    assert_eq!(store.saves(), 0);
}

async fn ledger_with_gateway(path: PathBuf) -> Ledger {
    let ledger = Ledger::open(path);
    ledger.edit(add_gateway).await.unwrap();
    ledger
}

async fn add_peers<S: Store + Clone>(ledger: &Ledger<S>, numbers: std::ops::Range<u16>) {
    let mut edits = JoinSet::new();
    for number in numbers {
        let ledger = ledger.clone();
        edits.spawn(async move { ledger.edit(move |document| add_peer(document, number)).await.unwrap() });
    }
    edits.join_all().await;
}

fn add_gateway(document: &mut Document) -> Result<(), Infallible> {
    let gateway = Gateway {
        public_key: key(u16::MAX),
        private_key: None,
        pool6: Pool6::default(),
        mtu: 1412,
        keepalive_secs: 25,
        address6: "fd64:ff9b::1".parse().unwrap(),
        ipv4_prefix: "198.18.0.0/16".parse().unwrap(),
        egress: contract::Egress::default(),
        dns64: None,
        discovery: None,
        policy: None,
        owner: String::new(),
        groups: Default::default(),
        peers: BTreeMap::new(),
        other: BTreeMap::new(),
    };
    document.gateways.insert(name("home"), gateway);
    Ok(())
}

fn add_peer(document: &mut Document, number: u16) -> Result<(), Infallible> {
    let gateway = document.gateways.get_mut(&name("home")).unwrap();
    let peer = Peer {
        public_key: key(number),
        prefix: Ipv6Net::new(Ipv6Addr::new(0x2001, 0xdb8, 0, number, 0, 0, 0, 0), 64).ok(),
        ipv4: gateway.lowest_free_ipv4().unwrap(),
        endpoint: None,
        owner: String::new(),
        other: BTreeMap::new(),
    };
    gateway.peers.insert(name(&format!("peer-{number}")), peer);
    Ok(())
}

fn key(number: u16) -> PublicKey {
    let mut bytes = [1; 32];
    bytes[1..3].copy_from_slice(&number.to_be_bytes());
    // Any 32 bytes are a public key.
    PrivateKey::from_random(bytes).to_base64().parse().unwrap()
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn peers(document: &Document) -> usize {
    document.gateways[&name("home")].peers.len()
}

fn on_disk(path: PathBuf) -> Document {
    Document::parse(&fs::read(path).unwrap()).unwrap()
}

/// A store in memory that counts, and that can let somebody else win the race for a save.
#[derive(Default)]
struct Memory(StdMutex<MemoryState>);

#[derive(Default)]
struct MemoryState {
    bytes: Option<Vec<u8>>,
    loads: u32,
    saves: u32,
    races_to_lose: u32,
}

impl Memory {
    fn holding(text: &str) -> Self {
        Self(StdMutex::new(MemoryState { bytes: Some(text.as_bytes().to_vec()), ..MemoryState::default() }))
    }

    fn lose_next_saves(&self, count: u32) {
        self.0.lock().unwrap().races_to_lose = count;
    }

    fn loads(&self) -> u32 {
        self.0.lock().unwrap().loads
    }

    fn saves(&self) -> u32 {
        self.0.lock().unwrap().saves
    }

    fn document(&self) -> Document {
        self.0.lock().unwrap().document()
    }
}

impl MemoryState {
    fn document(&self) -> Document {
        self.bytes.as_deref().map_or_else(Document::default, |bytes| Document::parse(bytes).unwrap())
    }

    fn version(&self) -> Version {
        Version(self.bytes.as_ref().map(|bytes| String::from_utf8(bytes.clone()).unwrap()))
    }
}

impl Store for Arc<Memory> {
    async fn load(&self) -> Result<Loaded, StoreError> {
        tokio::task::yield_now().await;
        let mut state = self.0.lock().unwrap();
        state.loads += 1;
        Ok(Loaded { bytes: state.bytes.clone(), version: state.version() })
    }

    async fn save(&self, bytes: Vec<u8>, expected: Version) -> Result<(), SaveError> {
        tokio::task::yield_now().await;
        let mut state = self.0.lock().unwrap();
        if state.races_to_lose > 0 {
            state.races_to_lose -= 1;
            let mut theirs = state.document();
            theirs.serial += 1;
            theirs.other.insert(format!("x-race-{}", theirs.serial), true.into());
            state.bytes = Some(theirs.render().into_bytes());
        }
        if state.version() != expected {
            return Err(SaveError::Conflict);
        }
        state.saves += 1;
        state.bytes = Some(bytes);
        Ok(())
    }

    fn place(&self) -> String {
        "memory".to_owned()
    }
}
