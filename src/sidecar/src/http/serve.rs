//! The server: no more connections than there may be, and none that keeps its place by being slow.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::paced::Paced;
use super::router::{Api, router};
use crate::gauges::Limit;

/// How long nothing is accepted after the system refused: it is out of file descriptors, mostly,
/// and gives none back within the next microsecond.
const REFUSED: Duration = Duration::from_millis(200);

/// Serves until `ending`; then requests that are under way are answered, and no more.
///
/// Not `axum::serve`, which has no limits: whoever opens connections and says nothing would keep
/// them for ever.
pub async fn serve<L: Accept>(listener: L, api: Api, ending: impl Future<Output = ()>) {
    let limits = api.limits;
    let places = Arc::new(Semaphore::new(limits.max_connections.min(Semaphore::MAX_PERMITS)));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.header_timeout);
    let under_way = GracefulShutdown::new();
    let routes = router(api.clone());
    let mut ending = pin!(ending);
    loop {
        if places.available_permits() == 0 {
            api.gauges.reached(Limit::Connections);
        }
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut ending => break,
        };
        let Some(stream) = taken(accepted).await else { continue };
        let io = TokioIo::new(Paced::new(stream, limits.answer_timeout, api.gauges.clone()));
        let connection = http.serve_connection(io, TowerToHyperService::new(routes.clone()));
        let connection = under_way.watch(connection);
        let gauges = api.gauges.clone();
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                if error.is_timeout() {
                    gauges.reached(Limit::HeaderTimeout);
                }
                tracing::debug!(%error, "a connection ended");
            }
            drop(place);
        });
    }
    drop(listener);
    under_way.shutdown().await;
}

/// Where connections come in.
pub trait Accept: Send {
    /// One of them.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next one.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<TcpStream> {
        let (stream, _) = self.accept().await?;
        // An answer is written at once; what is left of it must not wait for an acknowledgement. One
        // that is gone already says so when it is read.
        drop(stream.set_nodelay(true));
        Ok(stream)
    }
}

impl Accept for UnixListener {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.accept().await?.0)
    }
}

async fn taken<S>(accepted: io::Result<S>) -> Option<S> {
    match accepted {
        Ok(stream) => Some(stream),
        Err(error) => {
            tracing::debug!(%error, "no connection accepted");
            sleep(REFUSED).await;
            None
        }
    }
}
