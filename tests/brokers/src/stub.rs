//! What stands where a sidecar should, and is none.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::wait;

/// How it treats those who ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Nobody listens.
    Dead,
    /// It takes requests and never answers.
    Silent,
    /// It answers what is no HTTP.
    Garbled,
    /// It refuses all that it is asked.
    Refusing,
}

/// Somebody who listens at a loopback port for as long as the test runs.
#[derive(Debug)]
pub struct Stub {
    address: SocketAddr,
    heard: Arc<AtomicU64>,
}

impl Stub {
    /// Listens, unless it is dead.
    ///
    /// # Panics
    /// If there is no port.
    #[must_use]
    pub fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let address = listener.local_addr().expect("it is bound");
        let heard = Arc::new(AtomicU64::new(0));
        if manner != Manner::Dead {
            let counter = Arc::clone(&heard);
            thread::spawn(move || {
                for client in listener.incoming().flatten() {
                    let counter = Arc::clone(&counter);
                    thread::spawn(move || treat(client, manner, &counter));
                }
            });
        }
        Self { address, heard }
    }

    /// Where it listens, as an interceptor is told.
    #[must_use]
    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until somebody has asked it something.
    pub fn is_asked(&self) {
        wait::until("the stub is asked", || match self.heard.load(Ordering::Relaxed) {
            0 => Err(String::new()),
            _ => Ok(()),
        });
    }
}

fn treat(mut client: TcpStream, manner: Manner, heard: &AtomicU64) {
    let mut some = [0; 4_096];
    while let Ok(1..) = client.read(&mut some) {
        heard.fetch_add(1, Ordering::Relaxed);
        let answer: &[u8] = match manner {
            Manner::Dead | Manner::Silent => continue,
            Manner::Garbled => b"\x00\xff\r\n\r\nnot what you asked for\r\n\r\n",
            Manner::Refusing => {
                b"HTTP/1.1 503 no\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            }
        };
        // Who asked may be gone. What it still says is read, so that it sees the answer.
        drop(client.write_all(answer));
        drop(client.shutdown(std::net::Shutdown::Write));
    }
}
