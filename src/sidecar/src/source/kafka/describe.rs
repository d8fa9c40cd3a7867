//! What a cluster says of its topics: which one it is that has a name now, and whether records may
//! be compacted away. rdkafka's own client has neither, so librdkafka's C functions are called.
#![expect(unsafe_code, reason = "librdkafka's DescribeTopics has no safe binding")]

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char};
use std::ptr;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings as c;
use rdkafka::bindings::rd_kafka_admin_op_t as op;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

use super::client::Client;
use super::policy::Policy;

/// A topic's own, for as long as it is not deleted.
pub(super) type TopicId = (i64, i64);

/// Who is asked.
pub(super) struct Describe {
    pub(super) client: Arc<Client>,
    /// The broker's id. Any can tell, and it is not always known which one is the controller.
    pub(super) broker: i32,
    pub(super) timeout: Duration,
}

impl Describe {
    /// Asks which topics these are. One that is not there is missing, and so is one of a broker that
    /// has no such ids.
    pub(super) fn ids(&self, topics: &[Arc<str>]) -> KafkaResult<HashMap<String, TopicId>> {
        if topics.is_empty() {
            return Ok(HashMap::new());
        }
        let names = names(topics)?;
        let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
        // SAFETY: the names end in 0 and are copied; the collection is destroyed below, once.
        let asked = unsafe {
            c::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len())
        };
        let answer = self.ask(op::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, |ask| {
            // SAFETY: all are alive; librdkafka copies what it is asked.
            unsafe { c::rd_kafka_DescribeTopics(ask.client, asked, ask.options, ask.queue) }
        });
        // SAFETY: as above.
        unsafe { c::rd_kafka_TopicCollection_destroy(asked) };
        let answer = match answer {
            Err(error) if is_unsupported(&error) => return Ok(HashMap::new()),
            answer => answer?,
        };
        let mut ids = HashMap::new();
        // SAFETY: the event is the answer to what was asked, and owns all that is read here; a topic
        // without an error has a name and an id.
        unsafe {
            let result = c::rd_kafka_event_DescribeTopics_result(answer.event);
            let mut count = 0;
            let topics = c::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
            for &topic in list(topics, count) {
                let error = c::rd_kafka_error_code(c::rd_kafka_TopicDescription_error(topic));
                if error == c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                    let id = c::rd_kafka_TopicDescription_topic_id(topic);
                    let id = (
                        c::rd_kafka_Uuid_most_significant_bits(id),
                        c::rd_kafka_Uuid_least_significant_bits(id),
                    );
                    if id != (0, 0) {
                        ids.insert(text(c::rd_kafka_TopicDescription_name(topic)), id);
                    }
                }
            }
        }
        Ok(ids)
    }

    /// Asks whether records of these topics may be compacted away: `cleanup.policy`.
    pub(super) fn policies(&self, topics: &[Arc<str>]) -> KafkaResult<HashMap<String, Policy>> {
        if topics.is_empty() {
            return Ok(HashMap::new());
        }
        let names = names(topics)?;
        let kind = c::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
        // SAFETY: the names end in 0 and are copied; the resources are destroyed below, once.
        let mut asked: Vec<_> = names
            .iter()
            .map(|name| unsafe { c::rd_kafka_ConfigResource_new(kind, name.as_ptr()) })
            .collect();
        let answer = self.ask(op::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, |ask| {
            // SAFETY: all are alive; librdkafka copies what it is asked.
            unsafe {
                let (asked, count) = (asked.as_mut_ptr(), asked.len());
                c::rd_kafka_DescribeConfigs(ask.client, asked, count, ask.options, ask.queue);
            }
        });
        // SAFETY: as above.
        unsafe { c::rd_kafka_ConfigResource_destroy_array(asked.as_mut_ptr(), asked.len()) };
        let answer = match answer {
            Err(error) if is_unsupported(&error) => {
                return Ok(topics
                    .iter()
                    .map(|topic| (topic.to_string(), Policy::Untold))
                    .collect());
            }
            answer => answer?,
        };
        let mut policies = HashMap::new();
        // SAFETY: the event is the answer to what was asked, and owns all that is read here.
        unsafe {
            let result = c::rd_kafka_event_DescribeConfigs_result(answer.event);
            let mut count = 0;
            let resources = c::rd_kafka_DescribeConfigs_result_resources(result, &raw mut count);
            for &resource in list(resources, count) {
                let name = text(c::rd_kafka_ConfigResource_name(resource));
                let error = c::rd_kafka_ConfigResource_error(resource);
                if error == c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED {
                    policies.insert(name, Policy::Untold);
                    continue;
                }
                let mut count = 0;
                let entries = c::rd_kafka_ConfigResource_configs(resource, &raw mut count);
                for &entry in list(entries, count) {
                    if text(c::rd_kafka_ConfigEntry_name(entry)) == "cleanup.policy" {
                        let policy = text(c::rd_kafka_ConfigEntry_value(entry));
                        policies.insert(name.clone(), Policy::of(&policy));
                    }
                }
            }
        }
        Ok(policies)
    }

    fn ask(&self, what: op, ask: impl FnOnce(&Ask)) -> KafkaResult<Answer> {
        let client = self.client.client().native_ptr();
        let wait = i32::try_from(self.timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the client outlives this call. Queue and options are made here and destroyed
        // here, once; the answer belongs to the event alone.
        let event = unsafe {
            let options = c::rd_kafka_AdminOptions_new(client, what);
            c::rd_kafka_AdminOptions_set_request_timeout(options, wait, ptr::null_mut(), 0);
            c::rd_kafka_AdminOptions_set_broker(options, self.broker, ptr::null_mut(), 0);
            let queue = c::rd_kafka_queue_new(client);
            ask(&Ask { client, options, queue });
            // The request's own timeout comes first.
            let event = c::rd_kafka_queue_poll(queue, wait.saturating_add(1_000));
            c::rd_kafka_queue_destroy(queue);
            c::rd_kafka_AdminOptions_destroy(options);
            event
        };
        if event.is_null() {
            return Err(KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut));
        }
        let answer = Answer { event };
        // SAFETY: the event is alive.
        let error = unsafe { c::rd_kafka_event_error(event) };
        if error == c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            Ok(answer)
        } else {
            Err(KafkaError::AdminOp(error.into()))
        }
    }
}

fn is_unsupported(error: &KafkaError) -> bool {
    let unsupported = [RDKafkaErrorCode::UnsupportedFeature, RDKafkaErrorCode::UnsupportedVersion];
    matches!(error, KafkaError::AdminOp(code) if unsupported.contains(code))
}

/// What a question needs.
struct Ask {
    client: *mut c::rd_kafka_t,
    options: *mut c::rd_kafka_AdminOptions_t,
    queue: *mut c::rd_kafka_queue_t,
}

/// An answer, without an error; it is destroyed when it is dropped.
struct Answer {
    event: *mut c::rd_kafka_event_t,
}

impl Drop for Answer {
    fn drop(&mut self) {
        // SAFETY: it was given to us, and is destroyed once.
        unsafe { c::rd_kafka_event_destroy(self.event) };
    }
}

fn names(topics: &[Arc<str>]) -> KafkaResult<Vec<CString>> {
    let name = |topic: &Arc<str>| CString::new(&**topic);
    topics.iter().map(name).collect::<Result<_, _>>().map_err(KafkaError::Nul)
}

/// # Safety
///
/// There are `count` of them, or it is null; and they live as long as the answer.
unsafe fn list<'a, T>(first: *const T, count: usize) -> &'a [T] {
    if first.is_null() {
        return &[];
    }
    // SAFETY: so says the caller.
    unsafe { slice::from_raw_parts(first, count) }
}

/// # Safety
///
/// It ends in 0, or is null.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: so says the caller.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
