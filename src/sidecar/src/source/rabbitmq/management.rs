use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lapin::uri::AMQPUri;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::Agent;

use super::bindings::{Binding, Kind, Told};
use super::settings::RabbitSettings;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why the management API has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("management API {0}: {1}; `management` names another address, `bindings` does without")]
    Http(String, Box<ureq::Error>),
    #[error(
        "queue {0:?} is fed by the default exchange alone, which cannot be tapped: \
         `--firehose` (tap = \"firehose\") sees it"
    )]
    DefaultExchange(String),
}

/// RabbitMQ's HTTP API, as far as a tap asks it.
#[derive(Clone, Debug)]
pub(super) struct Management {
    agent: Agent,
    beginning: String,
    authorization: String,
    vhost: String,
}

#[derive(Deserialize)]
struct Exchange {
    #[serde(rename = "type")]
    kind: String,
}

/// A queue, as the broker last counted it.
#[derive(Debug, Deserialize)]
pub(super) struct Queue {
    /// Messages, ready and unacknowledged.
    pub(super) messages: Option<u64>,
    #[serde(default)]
    consumer_details: Vec<Consumer>,
}

#[derive(Debug, Deserialize)]
struct Consumer {
    ack_required: bool,
}

impl Queue {
    /// Whether some consumer's messages are acknowledged as they are sent.
    pub(super) fn acks_by_itself(&self) -> bool {
        self.consumer_details.iter().any(|consumer| !consumer.ack_required)
    }
}

impl Management {
    pub(super) fn new(settings: &RabbitSettings, uri: &AMQPUri) -> Self {
        let config = Agent::config_builder().timeout_global(Some(TIMEOUT)).build();
        let user = &uri.authority.userinfo;
        let credentials = format!("{}:{}", user.username, user.password);
        Self {
            agent: config.into(),
            beginning: settings.management(),
            authorization: format!("Basic {}", STANDARD.encode(credentials)),
            vhost: escaped(&settings.uri.vhost),
        }
    }

    /// The bindings of a queue; those of the default exchange left out.
    pub(super) fn bindings(&self, queue: &str) -> Result<Vec<Binding>, AskError> {
        let path = format!("queues/{}/{}/bindings", self.vhost, escaped(queue));
        let told: Vec<Told> = self.get(&path)?;
        let bindings: Vec<_> = told.into_iter().filter_map(Told::binding).collect();
        if bindings.is_empty() {
            return Err(AskError::DefaultExchange(queue.to_owned()));
        }
        Ok(bindings)
    }

    /// What an exchange does with routing keys.
    pub(super) fn kind(&self, exchange: &str) -> Result<Kind, AskError> {
        let path = format!("exchanges/{}/{}", self.vhost, escaped(exchange));
        let Exchange { kind } = self.get(&path)?;
        Ok(Kind::named(&kind))
    }

    /// A queue, as the broker last counted it.
    pub(super) fn queue(&self, queue: &str) -> Result<Queue, AskError> {
        self.get(&format!("queues/{}/{}", self.vhost, escaped(queue)))
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, AskError> {
        let url = format!("{}/api/{path}", self.beginning);
        let answer = self
            .agent
            .get(&url)
            .header("authorization", &self.authorization)
            .call()
            .and_then(|mut answer| answer.body_mut().read_json());
        answer.map_err(|error| AskError::Http(url, Box::new(error)))
    }
}

/// A name as one part of a path.
fn escaped(name: &str) -> String {
    utf8_percent_encode(name, NON_ALPHANUMERIC).to_string()
}
