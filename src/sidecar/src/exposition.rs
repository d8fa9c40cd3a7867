//! The two formats in which metrics are asked for: Prometheus' own text, and OpenMetrics, which a
//! Prometheus server prefers. They differ in their media type, in how counters are announced, and in
//! that OpenMetrics says where it ends.

/// A format of `GET /metrics`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exposition {
    /// Prometheus' text format.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Exposition {
    /// What a client takes by its `Accept` header, at equal weight OpenMetrics.
    pub(crate) fn accepted(accept: &str) -> Self {
        let weight = |media: &str| {
            let ranges = accept.split(',').map(|range| range.split(';').map(str::trim));
            let own = ranges.filter_map(|mut range| {
                let named = range.next() == Some(media);
                let weight = range.find_map(|parameter| parameter.strip_prefix("q="));
                named.then(|| weight.map_or(Some(1.0), |weight| weight.parse::<f32>().ok()))?
            });
            own.fold(0.0, f32::max)
        };
        let open = weight("application/openmetrics-text");
        if open > 0.0 && open >= weight("text/plain") { Self::OpenMetrics } else { Self::Text }
    }

    /// Its media type.
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Turns what stands there in the text format into this one.
    pub(crate) fn of(self, text: String) -> String {
        if self == Self::Text {
            return text;
        }
        let mut out = String::with_capacity(text.len() + 8);
        // Only announcements begin with #. A family is announced without the suffix that its counter's
        // samples have; no gauge's name ends so.
        for line in text.split_inclusive('\n') {
            let announced = ["# HELP ", "# TYPE "].iter().find_map(|kind| {
                let (name, rest) = line.strip_prefix(kind)?.split_once(' ')?;
                Some((kind, name.strip_suffix("_total")?, rest))
            });
            match announced {
                Some((kind, family, rest)) => out.extend([kind, family, " ", rest]),
                None => out += line,
            }
        }
        out + "# EOF\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_prefers_is_given() {
        for (accept, wanted) in [
            ("", Exposition::Text),
            ("*/*", Exposition::Text),
            ("text/plain", Exposition::Text),
            ("application/openmetrics-text", Exposition::OpenMetrics),
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;\
                 version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Exposition::OpenMetrics,
            ),
            ("text/plain;q=0.9, application/openmetrics-text;q=0.2", Exposition::Text),
            ("text/plain;q=0.2,application/openmetrics-text; q=0.2", Exposition::OpenMetrics),
            ("application/openmetrics-text;q=0", Exposition::Text),
            ("application/openmetrics-text;q=x", Exposition::Text),
        ] {
            assert_eq!(Exposition::accepted(accept), wanted, "{accept}");
        }
    }

    #[test]
    fn counters_are_announced_without_their_suffix() {
        let text = "# HELP a_total As # HELP b_total says.\n# TYPE a_total counter\n\
                    a_total{x=\"# HELP c_total \"} 1\n# HELP d D.\n# TYPE d gauge\nd 2\n";
        let open = "# HELP a As # HELP b_total says.\n# TYPE a counter\n\
                    a_total{x=\"# HELP c_total \"} 1\n# HELP d D.\n# TYPE d gauge\nd 2\n# EOF\n";
        assert_eq!(Exposition::OpenMetrics.of(text.to_owned()), open);
        assert_eq!(Exposition::Text.of(text.to_owned()), text);
    }
}
