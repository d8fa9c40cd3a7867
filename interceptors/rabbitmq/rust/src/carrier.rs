//! How a stamp travels: as one header of type long string.

use lacuna_core::stamp::{self, HEADER};
use lapin::BasicProperties;
use lapin::types::AMQPValue;

/// The properties with this stamp; one that is there already is replaced, all else stays.
pub(crate) fn stamped(properties: BasicProperties, stamp: &[u8]) -> BasicProperties {
    let mut headers = properties.headers().clone().unwrap_or_default();
    headers.insert(HEADER.into(), AMQPValue::LongString(stamp.to_vec().into()));
    properties.with_headers(headers)
}

/// The stamp of a lane's number, of which the lane's part is known.
pub(crate) fn value(prefix: &[u8], seq: u64) -> Vec<u8> {
    [prefix, b";", seq.to_string().as_bytes()].concat()
}

/// The lane and the number that a message's stamp names.
pub(crate) fn read(properties: &BasicProperties) -> Option<(&[u8], u64)> {
    let stamp = properties.headers().as_ref()?.inner().get(HEADER)?;
    stamp::split(stamp.as_long_string()?.as_bytes())
}

#[cfg(test)]
mod tests {
    use lapin::types::FieldTable;

    use super::*;

    #[test]
    fn one_stamp_and_all_else_stays() {
        let mut headers = FieldTable::default();
        headers.insert("a".into(), AMQPValue::Boolean(true));
        headers.insert(HEADER.into(), AMQPValue::LongString("1;p;7;9ae0daaf;0;3".into()));
        let old = BasicProperties::default().with_priority(3).with_headers(headers);
        let new = stamped(old, b"1;q;8;9ae0daaf;0;4");
        assert_eq!(new.priority(), &Some(3));
        let headers = new.headers().as_ref().unwrap().inner();
        assert_eq!((headers.len(), &headers["a"]), (2, &AMQPValue::Boolean(true)));
        assert_eq!(read(&new), Some((&b"1;q;8;9ae0daaf;0"[..], 4)));
        assert_eq!(read(&BasicProperties::default()), None);
        assert_eq!(value(b"1;q;8;9ae0daaf;0", 4), b"1;q;8;9ae0daaf;0;4");
    }
}
