//! New TCP connections: open, ask one byte, reset.
//!
//! A reset leaves no TIME_WAIT on either side, so the ports of one address last for ever.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::timeout;

use crate::{say, seconds};

/// A connection that takes longer has failed; a lost SYN is repeated after one second.
const LATE: Duration = Duration::from_secs(3);
const BACKLOG: u32 = 4096;

/// How to connect.
#[derive(Debug, clap::Args)]
pub(crate) struct ConnectOptions {
    /// For how long
    #[arg(long = "secs", value_parser = seconds)]
    duration: Duration,
    /// Connections under way at a time
    #[arg(long, default_value_t = 64)]
    sockets: usize,
}

/// Answers one byte on each connection, and waits for its end; for ever.
pub(crate) async fn accept(listen: SocketAddr) -> Result<()> {
    let listener = listener(listen).with_context(|| listen.to_string())?;
    say("ready")?;
    answer_all(listener).await;
    Ok(())
}

fn listener(listen: SocketAddr) -> io::Result<TcpListener> {
    let socket = if listen.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(listen)?;
    socket.listen(BACKLOG)
}

async fn answer_all(listener: TcpListener) {
    loop {
        // A connection that was reset before it was accepted is no error of the listener.
        let Ok((stream, _)) = listener.accept().await else { continue };
        tokio::spawn(async move {
            let _ = answer(stream).await;
        });
    }
}

async fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut byte = [0];
    stream.read_exact(&mut byte).await?;
    stream.write_all(&byte).await?;
    // The asker resets; closing first would leave TIME_WAIT here.
    stream.read(&mut byte).await.map(drop)
}

/// Opens connections until the time is over, from as many tasks as there are sockets.
pub(crate) async fn connect(to: SocketAddr, options: &ConnectOptions) -> Result<Value> {
    let start = Instant::now();
    let end = start + options.duration;
    let local = LocalSet::new();
    let (mut made, mut failed) = (0_u64, 0_u64);
    local
        .run_until(async {
            let mut tasks = JoinSet::new();
            for _ in 0..options.sockets {
                tasks.spawn_local(one_after_the_other(to, end));
            }
            while let Some(Ok((of_one, failed_of_one))) = tasks.join_next().await {
                made += of_one;
                failed += failed_of_one;
            }
        })
        .await;
    Ok(json!({ "connections": made, "failed": failed, "secs": start.elapsed().as_secs_f64() }))
}

async fn one_after_the_other(to: SocketAddr, end: Instant) -> (u64, u64) {
    let (mut made, mut failed) = (0, 0);
    while Instant::now() < end {
        match timeout(LATE, exchange(to)).await {
            Ok(Ok(())) => made += 1,
            Ok(Err(_)) | Err(_) => failed += 1,
        }
    }
    (made, failed)
}

async fn exchange(to: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(to).await?;
    stream.write_all(b"?").await?;
    stream.read_exact(&mut [0]).await?;
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_are_made_one_after_the_other_and_answered() {
        let listener = listener("127.0.0.1:0".parse().unwrap()).unwrap();
        let to = listener.local_addr().unwrap();
        let server = tokio::spawn(answer_all(listener));
        let options = ConnectOptions { duration: Duration::from_millis(300), sockets: 4 };

        let told = connect(to, &options).await.unwrap();

        server.abort();
        assert!(told["connections"].as_u64().unwrap() > 20, "{told}");
    }
}
