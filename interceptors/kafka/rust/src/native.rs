//! What rdkafka's safe interface does not offer, and all of this crate's `unsafe` code: reading
//! one header by name, removing one, a message's persistence status, and librdkafka's hashes.
#![expect(unsafe_code, reason = "calls into librdkafka that rdkafka does not wrap")]

use std::ffi::{CStr, c_void};
use std::{ptr, slice};

use rdkafka::bindings as c;
use rdkafka::client::{Client, ClientContext};
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, OwnedHeaders};

/// [`lacuna_core::stamp::HEADER`] for C.
const HEADER: &CStr = c"lacuna-stamp";

/// The last `lacuna-stamp` header's value; `None` where there is none or it is null.
///
/// rdkafka's own reader walks all headers by index and panics where a name is not UTF-8.
pub(crate) fn stamp<'a>(message: &'a BorrowedMessage<'_>) -> Option<&'a [u8]> {
    let mut headers = ptr::null_mut();
    // SAFETY: `message.ptr()` is valid while `message` is borrowed. The header list belongs to the
    // message, and is only read here.
    let answer = unsafe { c::rd_kafka_message_headers(message.ptr(), &raw mut headers) };
    if answer != c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR || headers.is_null() {
        return None;
    }
    // SAFETY: `headers` lives as long as its message does, and nothing changes it meanwhile.
    unsafe { last_value(headers) }
}

/// Whether these headers hold a `lacuna-stamp`, whatever its value.
pub(crate) fn is_stamped(headers: &OwnedHeaders) -> bool {
    let (mut value, mut size) = (ptr::null(), 0);
    // SAFETY: the list is owned by `headers`, which is borrowed; the out-pointers are locals.
    let answer = unsafe {
        c::rd_kafka_header_get_last(list(headers), HEADER.as_ptr(), &raw mut value, &raw mut size)
    };
    answer == c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
}

/// Removes every `lacuna-stamp`; all other headers stay, in their order.
pub(crate) fn remove_stamps(headers: &mut OwnedHeaders) {
    // SAFETY: the list is owned by `headers`, and borrowed here for ever so long as nobody else
    // can hold a value of it. The answer only tells whether there was one.
    let _ = unsafe { c::rd_kafka_header_remove(list(headers), HEADER.as_ptr()) };
}

/// The generation of its group that a consumer is in; `None`: it is in none, or has no group.
pub(crate) fn generation<C: ClientContext>(client: &Client<C>) -> Option<u64> {
    // SAFETY: the handle is alive as long as `client` is. What is given is ours to destroy.
    let metadata = unsafe { c::rd_kafka_consumer_group_metadata(client.native_ptr()) };
    if metadata.is_null() {
        return None;
    }
    // SAFETY: it is not null, read once, and destroyed once after that.
    let generation = unsafe {
        let generation = c::rd_kafka_consumer_group_metadata_generation_id(metadata);
        c::rd_kafka_consumer_group_metadata_destroy(metadata);
        generation
    };
    u64::try_from(generation).ok()
}

/// What librdkafka knows of a delivered or failed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// Never written: not sent, or every attempt was answered with a refusal.
    No,
    /// Sent, and not known to be written.
    Possibly,
    /// Written, as the broker said.
    Yes,
}

/// The persistence status of a message of a delivery report.
pub(crate) fn persistence(message: &BorrowedMessage<'_>) -> Persistence {
    use c::rd_kafka_msg_status_t::{
        RD_KAFKA_MSG_STATUS_NOT_PERSISTED, RD_KAFKA_MSG_STATUS_PERSISTED,
        RD_KAFKA_MSG_STATUS_POSSIBLY_PERSISTED,
    };
    // SAFETY: `message.ptr()` is valid while `message` is borrowed; the call reads one field.
    match unsafe { c::rd_kafka_message_status(message.ptr()) } {
        RD_KAFKA_MSG_STATUS_NOT_PERSISTED => Persistence::No,
        RD_KAFKA_MSG_STATUS_POSSIBLY_PERSISTED => Persistence::Possibly,
        RD_KAFKA_MSG_STATUS_PERSISTED => Persistence::Yes,
    }
}

/// librdkafka's keyed partitioners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    /// `consistent`, `consistent_random`.
    Crc32,
    /// `murmur2`, `murmur2_random`: Java's.
    Murmur2,
    /// `fnv1a`, `fnv1a_random`: Sarama's.
    Fnv1a,
}

/// The partition that librdkafka itself gives this key among `count` > 0.
pub(crate) fn hashed(hash: Hash, key: Option<&[u8]>, count: i32) -> i32 {
    debug_assert!(count > 0, "no partition to choose");
    let (data, size) =
        key.map_or((ptr::null(), 0), |key| (key.as_ptr().cast::<c_void>(), key.len()));
    let partitioner = match hash {
        Hash::Crc32 => c::rd_kafka_msg_partitioner_consistent,
        Hash::Murmur2 => c::rd_kafka_msg_partitioner_murmur2,
        Hash::Fnv1a => c::rd_kafka_msg_partitioner_fnv1a,
    };
    // SAFETY: these three read `size` bytes at `data` and the count; topic and opaques, which are
    // null here, are not looked at: they have no state.
    unsafe { partitioner(ptr::null(), data, size, count, ptr::null_mut(), ptr::null_mut()) }
}

fn list(headers: &OwnedHeaders) -> *mut c::rd_kafka_headers_t {
    ptr::from_ref::<BorrowedHeaders>(headers.as_borrowed()).cast_mut().cast()
}

/// # Safety
///
/// `headers` is a valid list that neither changes nor is destroyed during `'a`.
unsafe fn last_value<'a>(headers: *const c::rd_kafka_headers_t) -> Option<&'a [u8]> {
    let (mut value, mut size) = (ptr::null(), 0);
    // SAFETY: the list is valid; the out-pointers are locals.
    let answer = unsafe {
        c::rd_kafka_header_get_last(headers, HEADER.as_ptr(), &raw mut value, &raw mut size)
    };
    if answer != c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR || value.is_null() {
        return None;
    }
    // SAFETY: on success the list says where `size` bytes are; they live as long as it does.
    Some(unsafe { slice::from_raw_parts(value.cast::<u8>(), size) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_has_the_core_s_name() {
        assert_eq!(HEADER.to_bytes(), lacuna_core::stamp::HEADER.as_bytes());
    }
}
