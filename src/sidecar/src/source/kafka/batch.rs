//! librdkafka's batch queue: the one place that calls its C functions.
//!
//! Messages come a thousand at a time, stay in librdkafka's memory, and are looked at there: offset,
//! time, and the one header by its name. Polling them one by one costs twice as much. Partitions are
//! read the way that needs no consumer group (`rd_kafka_consume_start_queue`).
#![expect(unsafe_code, reason = "librdkafka's batch queue has no safe binding")]

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_void};
use std::fmt;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings as c;
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;

use super::client::Client;

/// Most messages in one batch: enough that the call costs nothing a message, little enough that a
/// question to the worker does not wait.
const BATCH: usize = 1024;
/// [`lacuna_core::stamp::HEADER`] as C wants it.
const HEADER: &CStr = c"lacuna-stamp";

/// A queue that any number of partitions feed.
///
/// Invariants: `queue` and every pointer in `topics` were made by `client` and are not destroyed
/// before `drop`, in which they are destroyed before `client` is let go of. `messages[..]` are only
/// looked at through [`Batch`], whose pointers librdkafka has given us and we have not destroyed.
pub(super) struct Queue {
    queue: NonNull<c::rd_kafka_queue_t>,
    topics: HashMap<String, NonNull<c::rd_kafka_topic_t>>,
    started: Vec<Key>,
    messages: Vec<*mut c::rd_kafka_message_t>,
    client: Arc<Client>,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("started", &self.started).finish_non_exhaustive()
    }
}

// SAFETY: librdkafka's handles may be used from any thread; the queue has one owner.
unsafe impl Send for Queue {}

/// A partition of a queue, as it is found in every message without looking at a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    topic: usize,
    partition: i32,
}

impl Queue {
    pub(super) fn new(client: Arc<Client>) -> Self {
        // SAFETY: the handle is alive as long as `client` is. librdkafka's allocations abort rather
        // than give null.
        let queue = unsafe { c::rd_kafka_queue_new(client.client().native_ptr()) };
        let queue = NonNull::new(queue).unwrap_or_else(|| std::process::abort());
        let (topics, started) = (HashMap::new(), Vec::new());
        Self { queue, topics, started, messages: vec![ptr::null_mut(); BATCH], client }
    }

    /// Begins to read a partition at this offset.
    pub(super) fn start(
        &mut self,
        topic: &str,
        partition: i32,
        offset: u64,
    ) -> Result<Key, RDKafkaErrorCode> {
        let handle = self.topic(topic)?;
        let key = Key { topic: handle.as_ptr() as usize, partition };
        self.begin(key, offset)?;
        self.started.push(key);
        Ok(key)
    }

    /// Reads a partition on from this offset; what is in the queue of it is dropped.
    pub(super) fn restart(&self, key: Key, offset: u64) -> Result<(), RDKafkaErrorCode> {
        self.halt(key);
        self.begin(key, offset)
    }

    /// Reads this partition no more; what is in the queue of it is dropped.
    pub(super) fn stop(&mut self, key: Key) {
        self.started.retain(|&started| started != key);
        self.halt(key);
    }

    /// Waits for messages, at most this long, and gives what has come.
    pub(super) fn read(&mut self, wait: Duration) -> Batch<'_> {
        let wait = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue is alive, and the buffer has room for the number of pointers given.
        let count = unsafe {
            c::rd_kafka_consume_batch_queue(
                self.queue.as_ptr(),
                wait,
                self.messages.as_mut_ptr(),
                self.messages.len(),
            )
        };
        // Negative where nothing could be read; the reasons come as messages of their own.
        let count = usize::try_from(count).unwrap_or(0);
        Batch { messages: self.messages[..count].iter_mut() }
    }

    /// Whether a batch of this size was cut by the buffer: there is more to read at once.
    pub(super) const fn is_full(count: usize) -> bool {
        count == BATCH
    }

    /// The end of the partition as the last answer to a fetch told it; for the lag only.
    pub(super) fn high_watermark(&self, topic: &str, partition: i32) -> Option<u64> {
        let topic = CString::new(topic).ok()?;
        let (mut low, mut high) = (0, 0);
        // SAFETY: the handle is alive, the name ends in 0, and both numbers are ours.
        let error = unsafe {
            c::rd_kafka_get_watermark_offsets(
                self.client.client().native_ptr(),
                topic.as_ptr(),
                partition,
                &raw mut low,
                &raw mut high,
            )
        };
        if error == c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            u64::try_from(high).ok()
        } else {
            None
        }
    }

    fn topic(&mut self, topic: &str) -> Result<NonNull<c::rd_kafka_topic_t>, RDKafkaErrorCode> {
        if let Some(&handle) = self.topics.get(topic) {
            return Ok(handle);
        }
        let name = CString::new(topic).map_err(|_| RDKafkaErrorCode::InvalidTopic)?;
        // SAFETY: the handle is alive, the name ends in 0, and no configuration means the default.
        let handle = unsafe {
            c::rd_kafka_topic_new(self.client.client().native_ptr(), name.as_ptr(), ptr::null_mut())
        };
        let handle = NonNull::new(handle).ok_or_else(last_error)?;
        self.topics.insert(topic.to_owned(), handle);
        Ok(handle)
    }

    fn begin(&self, key: Key, offset: u64) -> Result<(), RDKafkaErrorCode> {
        let offset = i64::try_from(offset).map_err(|_| RDKafkaErrorCode::OffsetOutOfRange)?;
        // SAFETY: a key's topic is one of `topics`, which live as long as the queue does.
        let failed = unsafe {
            c::rd_kafka_consume_start_queue(
                key.topic as *mut c::rd_kafka_topic_t,
                key.partition,
                offset,
                self.queue.as_ptr(),
            )
        };
        if failed == 0 { Ok(()) } else { Err(last_error()) }
    }

    fn halt(&self, key: Key) {
        // SAFETY: as in `begin`. It fails only where nothing was started, which is as well.
        unsafe { c::rd_kafka_consume_stop(key.topic as *mut c::rd_kafka_topic_t, key.partition) };
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        for &key in &self.started {
            self.halt(key);
        }
        // SAFETY: each was made by us and is destroyed once, after what was started on it.
        unsafe {
            for topic in self.topics.values() {
                c::rd_kafka_topic_destroy(topic.as_ptr());
            }
            c::rd_kafka_queue_destroy(self.queue.as_ptr());
        }
    }
}

fn last_error() -> RDKafkaErrorCode {
    // SAFETY: reads a number of this thread.
    unsafe { c::rd_kafka_last_error() }.into()
}

/// Messages that were read; each is given back to librdkafka after it was looked at.
pub(super) struct Batch<'a> {
    messages: slice::IterMut<'a, *mut c::rd_kafka_message_t>,
}

impl Batch<'_> {
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Looks at each in turn.
    #[inline]
    pub(super) fn for_each(mut self, mut look: impl FnMut(&Message)) {
        for message in self.messages.by_ref() {
            // SAFETY: the pointer is librdkafka's, valid until it is destroyed below, once.
            unsafe {
                look(&*(*message).cast::<Message>());
                c::rd_kafka_message_destroy(*message);
            }
        }
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        for message in self.messages.by_ref() {
            // SAFETY: what was not looked at was not destroyed.
            unsafe { c::rd_kafka_message_destroy(*message) };
        }
    }
}

/// A message, or an error of a partition, in librdkafka's memory.
#[repr(transparent)]
pub(super) struct Message(c::rd_kafka_message_t);

impl Message {
    /// Where it was read.
    #[inline]
    pub(super) fn key(&self) -> Key {
        Key { topic: self.0.rkt as usize, partition: self.0.partition }
    }

    /// What it is instead of a message.
    #[inline]
    pub(super) fn error(&self) -> Option<RDKafkaErrorCode> {
        if self.0.err == c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            None
        } else {
            Some(self.0.err.into())
        }
    }

    /// What the error says.
    pub(super) fn error_text(&self) -> String {
        // SAFETY: the text is the message's own, or static.
        let text = unsafe { c::rd_kafka_message_errstr(&raw const self.0) };
        if text.is_null() {
            return String::new();
        }
        // SAFETY: it ends in 0 and lives as long as the message.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    }

    /// Its offset; of an error where it is known, the one to be read next.
    #[inline]
    pub(super) fn offset(&self) -> Option<u64> {
        u64::try_from(self.0.offset).ok()
    }

    /// Its payload; a null one is empty.
    pub(super) fn payload(&self) -> &[u8] {
        if self.0.payload.is_null() {
            return &[];
        }
        // SAFETY: so many bytes stand there, and they live as long as the message.
        unsafe { slice::from_raw_parts(self.0.payload.cast::<u8>(), self.0.len) }
    }

    /// The epoch of the leader that stored it; -1 where the broker does not say.
    #[inline]
    pub(super) fn leader_epoch(&self) -> i32 {
        // SAFETY: the message is alive.
        unsafe { c::rd_kafka_message_leader_epoch(&raw const self.0) }
    }

    /// Its timestamp, ms since the Unix epoch.
    #[inline]
    pub(super) fn time(&self) -> Option<u64> {
        let mut kind = c::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is alive, and the kind is ours.
        let time = unsafe { c::rd_kafka_message_timestamp(&raw const self.0, &raw mut kind) };
        u64::try_from(time).ok()
    }

    /// The value of its stamp, the last one where it has several; empty where the value is null.
    #[inline]
    pub(super) fn stamp(&self) -> Option<&[u8]> {
        let mut headers = ptr::null_mut();
        // SAFETY: the message is alive; the headers that are given live as long as it does.
        let error = unsafe { c::rd_kafka_message_headers(&raw const self.0, &raw mut headers) };
        if error != c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return None;
        }
        let (mut value, mut len): (*const c_void, usize) = (ptr::null(), 0);
        let name: *const c_char = HEADER.as_ptr();
        // SAFETY: headers and name are alive; the value is the message's own.
        let error =
            unsafe { c::rd_kafka_header_get_last(headers, name, &raw mut value, &raw mut len) };
        if error != c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return None;
        }
        if value.is_null() {
            return Some(&[]);
        }
        // SAFETY: librdkafka says that so many bytes stand there; they live as long as the message.
        Some(unsafe { slice::from_raw_parts(value.cast::<u8>(), len) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_the_stamp_s() {
        assert_eq!(HEADER.to_str(), Ok(lacuna_core::stamp::HEADER));
    }
}
