//! The producer context that keeps the book and passes everything on to the application's own.

use std::error::Error;
use std::ops::Deref;
use std::sync::Arc;

use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{Partitioner, ProducerContext};
use rdkafka::statistics::Statistics;

use crate::stamper::Stamper;

/// Passes every callback of a [`ClientContext`] on to the field `app`.
macro_rules! pass_on_client_callbacks {
    () => {
        const ENABLE_REFRESH_OAUTH_TOKEN: bool = C::ENABLE_REFRESH_OAUTH_TOKEN;

        fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
            self.app.log(level, facility, message);
        }

        fn stats(&self, statistics: Statistics) {
            self.app.stats(statistics);
        }

        fn stats_raw(&self, statistics: &[u8]) {
            self.app.stats_raw(statistics);
        }

        fn error(&self, error: KafkaError, reason: &str) {
            self.app.error(error, reason);
        }

        fn generate_oauth_token(
            &self,
            configuration: Option<&str>,
        ) -> Result<OAuthToken, Box<dyn Error>> {
            self.app.generate_oauth_token(configuration)
        }
    };
}
pub(crate) use pass_on_client_callbacks;

/// The application's producer context `C`, wrapped: every callback still reaches it, and it is
/// what this dereferences to.
#[derive(Debug)]
pub struct StampContext<C> {
    app: C,
    stamper: Arc<Stamper>,
}

impl<C> StampContext<C> {
    pub(crate) fn new(app: C, stamper: Arc<Stamper>) -> Self {
        Self { app, stamper }
    }
}

impl<C> Deref for StampContext<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.app
    }
}

impl<C: ClientContext> ClientContext for StampContext<C> {
    pass_on_client_callbacks!();
}

impl<C, Part> ProducerContext<Part> for StampContext<C>
where
    C: ProducerContext<Part>,
    Part: Partitioner,
{
    type DeliveryOpaque = C::DeliveryOpaque;

    fn delivery(&self, report: &DeliveryResult<'_>, opaque: Self::DeliveryOpaque) {
        // First the book: what the application does in its callback may depend on it.
        self.stamper.delivered(report);
        self.app.delivery(report, opaque);
    }

    fn get_custom_partitioner(&self) -> Option<&Part> {
        self.app.get_custom_partitioner()
    }
}
