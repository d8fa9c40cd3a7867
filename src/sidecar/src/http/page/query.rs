//! What an address of the page says, so that a link shows what its sender saw.

use lacuna_core::report::Filter;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Deserializer};

/// The filters of the API, and what else is chosen.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Query {
    #[serde(deserialize_with = "filled")]
    pub(super) view: Option<String>,
    #[serde(deserialize_with = "filled")]
    pub(super) stream: Option<String>,
    #[serde(deserialize_with = "filled")]
    pub(super) partition: Option<String>,
    #[serde(deserialize_with = "filled")]
    pub(super) producer: Option<String>,
    /// States of gap rows; what is lost where nothing is said.
    #[serde(deserialize_with = "filled")]
    pub(super) state: Option<String>,
    /// Gap rows older than this age.
    #[serde(deserialize_with = "filled")]
    pub(super) cursor: Option<String>,
    /// Repeats older than this age.
    #[serde(deserialize_with = "filled")]
    pub(super) repeats: Option<String>,
}

/// A form sends its empty fields too.
fn filled<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.filter(|text| !text.is_empty()))
}

impl Query {
    pub(super) fn filter(&self) -> Filter {
        let Self { view, stream, partition, producer, .. } = self.clone();
        Filter { view, stream, partition, producer }
    }

    /// What the filters are, by the names that they have in an address.
    pub(super) fn filters(&self) -> [(&'static str, Option<&str>); 4] {
        [
            ("view", self.view.as_deref()),
            ("stream", self.stream.as_deref()),
            ("partition", self.partition.as_deref()),
            ("producer", self.producer.as_deref()),
        ]
    }

    pub(super) fn is_filtered(&self) -> bool {
        self.filters().iter().any(|(_, value)| value.is_some())
    }

    /// This page without one of its filters.
    pub(super) fn without(&self, name: &str) -> Self {
        let mut query = Self { cursor: None, repeats: None, ..self.clone() };
        match name {
            "view" => query.view = None,
            "stream" => query.stream = None,
            "partition" => query.partition = None,
            "producer" => query.producer = None,
            _ => {}
        }
        query
    }

    /// This page for one producer.
    pub(super) fn of_producer(&self, producer: &str) -> Self {
        let query = self.without("producer");
        Self { producer: Some(producer.to_owned()), ..query }
    }

    /// This page with gap rows in these states.
    pub(super) fn in_state(&self, state: Option<&str>) -> Self {
        Self { state: state.map(str::to_owned), cursor: None, ..self.clone() }
    }

    /// A partition's page, or a stream's.
    pub(super) fn place(view: &str, stream: &str, partition: Option<&str>) -> Self {
        let [view, stream] = [view, stream].map(|name| Some(name.to_owned()));
        Self { view, stream, partition: partition.map(str::to_owned), ..Self::default() }
    }

    /// Its address at this path.
    pub(super) fn address(&self, path: &str) -> String {
        let more = [
            ("state", self.state.as_deref()),
            ("cursor", self.cursor.as_deref()),
            ("repeats", self.repeats.as_deref()),
        ];
        let mut address = path.to_owned();
        let mut sign = '?';
        for (name, value) in self.filters().into_iter().chain(more) {
            let Some(value) = value else { continue };
            address.push(sign);
            address.push_str(name);
            address.push('=');
            address.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
            sign = '&';
        }
        address
    }

    /// The address of the report for programs, with the same filters.
    pub(super) fn report(&self, lanes: bool) -> String {
        let filters = Self { state: None, cursor: None, repeats: None, ..self.clone() };
        let address = filters.address("/v1/report");
        let sign = if filters.is_filtered() { '&' } else { '?' };
        if lanes { format!("{address}{sign}depth=lanes") } else { address }
    }

    /// Its address.
    pub(super) fn link(&self) -> String {
        self.address("/")
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::query;
    use super::*;

    #[test]
    fn an_address_is_read_as_it_was_written() {
        let names = r#"a&b=c"<d>#/?%é"#;
        let all = Query {
            producer: Some(names.to_owned()),
            state: Some("all".to_owned()),
            ..Query::place("log", names, Some("0"))
        };
        let back: Query = query::read(&all.link().parse().unwrap()).unwrap();
        assert_eq!(back.link(), all.link());
        assert_eq!(back.producer.as_deref(), Some(names));
        assert_eq!(Query::default().link(), "/");
    }

    #[test]
    fn an_empty_field_is_no_filter() {
        let query: Query = query::read(&"/?stream=&producer=p".parse().unwrap()).unwrap();
        assert_eq!((query.stream, query.producer.as_deref()), (None, Some("p")));
    }
}
