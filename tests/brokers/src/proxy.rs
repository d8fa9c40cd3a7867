//! A TCP proxy that can be cut, slow, or forget its connections: an outage that only one client sees.
//!
//! Of toxiproxy's ways to fail only these are wanted, and it is built with Go.

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Forwards one port to another until it is cut; dropped, it gives the port back.
#[derive(Debug)]
pub struct Proxy {
    from: SocketAddr,
    state: Arc<Mutex<State>>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    cut: bool,
    closed: bool,
    /// What the server says goes nowhere.
    mute: Arc<AtomicBool>,
    /// Bytes a second, each way of each connection; 0: as fast as it goes.
    pace: Arc<AtomicUsize>,
    /// Of those connections that are open: nothing goes through it any more.
    forgotten: Arc<AtomicBool>,
    open: Vec<TcpStream>,
}

impl Proxy {
    /// Listens at `from`.
    ///
    /// # Panics
    /// If the port is taken.
    #[must_use]
    pub fn start(from: SocketAddr, to: SocketAddr) -> Self {
        let listener =
            TcpListener::bind(from).unwrap_or_else(|error| panic!("port {from}: {error}"));
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let acceptor = thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if lock(&shared).closed {
                    return;
                }
                // What fails here is a connection that breaks, which is what a proxy is for.
                drop(forward(client, to, &shared));
            }
        });
        Self { from, state, acceptor: Some(acceptor) }
    }

    /// Breaks every connection and refuses new ones. Bytes that were not yet taken are lost.
    pub fn cut(&self) {
        let mut state = lock(&self.state);
        state.cut = true;
        for stream in state.open.drain(..) {
            // It may be closed already.
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    /// Lets new connections through, both ways.
    pub fn mend(&self) {
        let mut state = lock(&self.state);
        state.cut = false;
        state.mute.store(false, Ordering::Relaxed);
    }

    /// From now on so many bytes a second go each way of a connection; 0: as many as come.
    pub fn slow(&self, bytes_per_second: usize) {
        lock(&self.state).pace.store(bytes_per_second, Ordering::Relaxed);
    }

    /// Connections that are open stay open and carry nothing any more, as where a firewall on the way
    /// has forgotten them; new ones pass.
    pub fn forget(&self) {
        let mut state = lock(&self.state);
        std::mem::take(&mut state.forgotten).store(true, Ordering::Relaxed);
    }

    /// From now on what clients say is heard, and no answer comes.
    pub fn mute(&self) {
        lock(&self.state).mute.store(true, Ordering::Relaxed);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
        lock(&self.state).closed = true;
        // The acceptor looks when somebody comes; it cannot panic.
        drop(TcpStream::connect(self.from));
        self.acceptor.take().map(JoinHandle::join);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn forward(client: TcpStream, to: SocketAddr, state: &Mutex<State>) -> io::Result<()> {
    let mut state = lock(state);
    if state.cut {
        return client.shutdown(Shutdown::Both);
    }
    let server = TcpStream::connect(to)?;
    let forgotten = &state.forgotten;
    for (from, into, mute) in [(&client, &server, forgotten), (&server, &client, &state.mute)] {
        let (mut from, into) = (from.try_clone()?, into.try_clone()?);
        let (swallow, pace) = ([forgotten, mute].map(Arc::clone), Arc::clone(&state.pace));
        thread::spawn(move || {
            let mut writer = Writer { into: &into, swallow, pace };
            drop(io::copy(&mut from, &mut writer));
            drop(into.shutdown(Shutdown::Both));
            drop(from.shutdown(Shutdown::Both));
        });
    }
    state.open.extend([client, server]);
    Ok(())
}

/// Writes on, at its pace, but for what is swallowed.
struct Writer<'a> {
    into: &'a TcpStream,
    swallow: [Arc<AtomicBool>; 2],
    pace: Arc<AtomicUsize>,
}

impl Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.swallow.iter().any(|swallow| swallow.load(Ordering::Relaxed)) {
            return Ok(bytes.len());
        }
        match self.pace.load(Ordering::Relaxed) {
            0 => self.into.write(bytes),
            pace => {
                thread::sleep(Duration::from_millis(50));
                self.into.write(&bytes[..bytes.len().min(pace.div_ceil(20))])
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.into.flush()
    }
}
