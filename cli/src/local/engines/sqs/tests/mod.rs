//! What AWS's own SDK sees.

mod refusals;

use std::time::{Duration, Instant};

use aws_sdk_sqs::{
    Client,
    operation::receive_message::builders::ReceiveMessageFluentBuilder,
    primitives::Blob,
    types::{
        Message, MessageAttributeValue, MessageSystemAttributeName as System,
        MessageSystemAttributeNameForSends as ForSends, MessageSystemAttributeValue, QueueAttributeName,
    },
};

use crate::local::engines::{Engines, sdk_config, tests::started};

const TRACE: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";

/// A queue of its own for each test.
async fn queue(engines: &Engines, attributes: &[(QueueAttributeName, &str)]) -> (Client, String) {
    let sqs = engines.sqs();
    let mut create = sqs.create_queue().queue_name("queue");
    for (name, value) in attributes {
        create = create.attributes(name.clone(), *value);
    }
    let url = create.send().await.unwrap().queue_url.unwrap();
    (sqs, url)
}

async fn send(sqs: &Client, url: &str, body: &str) {
    sqs.send_message().queue_url(url).message_body(body).send().await.unwrap();
}

fn receive(sqs: &Client, url: &str) -> ReceiveMessageFluentBuilder {
    let all = sqs.receive_message().message_system_attribute_names(System::All);
    all.queue_url(url).max_number_of_messages(10)
}

async fn messages(receive: ReceiveMessageFluentBuilder) -> Vec<Message> {
    receive.send().await.unwrap().messages.unwrap_or_default()
}

async fn counts(sqs: &Client, url: &str) -> (String, String) {
    let call = sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::All);
    let mut attributes = call.send().await.unwrap().attributes.unwrap();
    (
        attributes.remove(&QueueAttributeName::ApproximateNumberOfMessages).unwrap(),
        attributes.remove(&QueueAttributeName::ApproximateNumberOfMessagesNotVisible).unwrap(),
    )
}

fn attribute(value: &str) -> MessageAttributeValue {
    MessageAttributeValue::builder().data_type("String").string_value(value).build().unwrap()
}

fn trace() -> MessageSystemAttributeValue {
    MessageSystemAttributeValue::builder().data_type("String").string_value(TRACE).build().unwrap()
}

#[tokio::test]
async fn queue_urls_point_here_and_any_host_is_accepted() {
    let engines = started().await;
    let (sqs, url) = queue(&engines, &[]).await;
    assert_eq!(url, format!("{}/000000000000/queue", engines.sqs_url()));
    let got = sqs.get_queue_url().queue_name("queue").send().await.unwrap().queue_url;
    assert_eq!(got.as_deref(), Some(&*url));
    sqs.create_queue().queue_name("other").send().await.unwrap();
    let listed = sqs.list_queues().queue_name_prefix("q").send().await.unwrap().queue_urls;
    assert_eq!(listed.unwrap(), [&*url]);

    send(&sqs, "https://sqs.eu-central-1.amazonaws.com/123456789012/queue", "one").await;
    // As SDKs do that send to the queue's own URL.
    send(&Client::new(&sdk_config(&url)), &url, "two").await;
    assert_eq!(messages(receive(&sqs, &url)).await.len(), 2);
}

#[tokio::test]
async fn trace_and_group_come_back_when_asked_for() {
    let engines = started().await;
    let (sqs, url) = queue(&engines, &[]).await;
    let message = sqs.send_message().queue_url(&url).message_body("body").message_group_id("platform/default");
    message.message_system_attributes(ForSends::AwsTraceHeader, trace()).send().await.unwrap();

    let ask = || sqs.receive_message().queue_url(&url).visibility_timeout(0).message_attribute_names("All");
    let [message] = &messages(ask()).await[..] else { panic!("one message") };
    assert_eq!(message.attributes, None);
    assert_eq!(message.message_attributes, None);

    let asked = ask().message_system_attribute_names(System::AwsTraceHeader);
    let [message] = &messages(asked).await[..] else { panic!("one message") };
    let attributes = message.attributes.clone().unwrap();
    assert_eq!(attributes.into_iter().collect::<Vec<_>>(), [(System::AwsTraceHeader, TRACE.into())]);

    #[expect(deprecated, reason = "consumers still use the parameter's older name")]
    let asked = ask().attribute_names(QueueAttributeName::All);
    let [message] = &messages(asked).await[..] else { panic!("one message") };
    let attributes = message.attributes.as_ref().unwrap();
    assert_eq!(attributes[&System::MessageGroupId], "platform/default");
    assert_eq!(attributes[&System::AwsTraceHeader], TRACE);
    assert_eq!(attributes[&System::ApproximateReceiveCount], "3");
    let sent: u64 = attributes[&System::SentTimestamp].parse().unwrap();
    let received: u64 = attributes[&System::ApproximateFirstReceiveTimestamp].parse().unwrap();
    assert!(sent <= received, "{sent} {received}");
}

#[tokio::test]
async fn attributes_come_back_when_asked_for() {
    let engines = started().await;
    let (sqs, url) = queue(&engines, &[]).await;
    let bytes = MessageAttributeValue::builder().data_type("Binary").binary_value(Blob::new([0, 255]));
    let message = sqs.send_message().queue_url(&url).message_body("body");
    let message = message.message_attributes("type", attribute("commerce.order.paid"));
    let message = message.message_attributes("app.bytes", bytes.build().unwrap());
    message.send().await.unwrap();

    let ask = || sqs.receive_message().queue_url(&url).visibility_timeout(0);
    for (names, expected) in [
        (&[][..], &[][..]),
        (&["other"], &[]),
        (&["type"], &["type"]),
        (&["app.*"], &["app.bytes"]),
        (&["All"], &["app.bytes", "type"]),
        (&[".*"], &["app.bytes", "type"]),
    ] {
        let asked = names.iter().fold(ask(), |ask, name| ask.message_attribute_names(*name));
        let [message] = &messages(asked).await[..] else { panic!("one message") };
        let attributes = message.message_attributes.clone().unwrap_or_default();
        let mut got: Vec<_> = attributes.keys().collect();
        got.sort();
        assert_eq!(got, expected, "{names:?}");
        if let Some(text) = attributes.get("type") {
            assert_eq!(text, &attribute("commerce.order.paid"));
        }
        if let Some(bytes) = attributes.get("app.bytes") {
            assert_eq!(bytes.binary_value(), Some(&Blob::new([0, 255])));
            assert_eq!(bytes.data_type(), "Binary");
        }
    }
}

/// For SDKs that compare: the second digest was computed apart, with Python's `hashlib`.
#[tokio::test]
async fn digests_are_those_of_aws() {
    let engines = started().await;
    let (sqs, url) = queue(&engines, &[]).await;
    let number = MessageAttributeValue::builder().data_type("Number").string_value("1493147359900");
    let message = sqs.send_message().queue_url(&url).message_body("body").message_group_id("not digested");
    let sent = message.message_attributes("timestamp", number.build().unwrap()).send().await.unwrap();
    assert_eq!(sent.md5_of_message_body(), Some("841a2d689ad86bd1611447453c22c6fc"));
    assert_eq!(sent.md5_of_message_attributes(), Some("235c5c510d26fb653d073faed50ae77c"));

    let [message] = &messages(receive(&sqs, &url).message_attribute_names("All")).await[..] else {
        panic!("one message")
    };
    assert_eq!(message.md5_of_body(), sent.md5_of_message_body());
    assert_eq!(message.md5_of_message_attributes(), sent.md5_of_message_attributes());
}

#[tokio::test]
async fn a_received_message_hides_counts_and_comes_back() {
    let engines = started().await;
    let (sqs, url) = queue(&engines, &[]).await;
    send(&sqs, &url, "body").await;
    assert_eq!(counts(&sqs, &url).await, ("1".into(), "0".into()));

    let [first] = &messages(receive(&sqs, &url).visibility_timeout(1)).await[..] else { panic!("one message") };
    assert_eq!(counts(&sqs, &url).await, ("0".into(), "1".into()));
    assert_eq!(messages(receive(&sqs, &url)).await, []);

    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(counts(&sqs, &url).await, ("1".into(), "0".into()));
    let [again] = &messages(receive(&sqs, &url)).await[..] else { panic!("one message") };
    assert_eq!(again.message_id, first.message_id);
    assert_eq!(again.attributes.as_ref().unwrap()[&System::ApproximateReceiveCount], "2");

    let show = sqs.change_message_visibility().queue_url(&url).visibility_timeout(0);
    show.receipt_handle(again.receipt_handle().unwrap()).send().await.unwrap();
    assert_eq!(messages(receive(&sqs, &url)).await.len(), 1);
}

#[tokio::test]
async fn a_long_poll_ends_with_the_first_message_or_its_time() {
    let engines = started().await;
    let (sqs, url) = queue(&engines, &[]).await;
    let begun = Instant::now();
    assert_eq!(messages(receive(&sqs, &url).wait_time_seconds(1)).await, []);
    assert!(begun.elapsed() >= Duration::from_millis(990));

    let begun = Instant::now();
    let late = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        send(&sqs, &url, "late").await;
    };
    let (received, ()) = tokio::join!(messages(receive(&sqs, &url).wait_time_seconds(20)), late);
    assert_eq!(received.len(), 1);
    assert!(begun.elapsed() < Duration::from_secs(10));

    sqs.purge_queue().queue_url(&url).send().await.unwrap();
    // The end of a delay or of a visibility timeout ends a long poll, too.
    let delayed = sqs.send_message().queue_url(&url).message_body("delayed").delay_seconds(1);
    let begun = Instant::now();
    delayed.send().await.unwrap();
    for _ in 0..2 {
        let received = messages(receive(&sqs, &url).wait_time_seconds(20).visibility_timeout(1)).await;
        assert_eq!(received[0].body(), Some("delayed"));
    }
    assert!((1_990..10_000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    sqs.purge_queue().queue_url(&url).send().await.unwrap();

    let wait = sqs.set_queue_attributes().queue_url(&url);
    wait.attributes(QueueAttributeName::ReceiveMessageWaitTimeSeconds, "1").send().await.unwrap();
    let begun = Instant::now();
    assert_eq!(messages(receive(&sqs, &url)).await, []);
    assert!(begun.elapsed() >= Duration::from_millis(990));
}

#[tokio::test]
async fn only_the_latest_receipt_deletes() {
    let engines = started().await;
    let (sqs, url) = queue(&engines, &[]).await;
    send(&sqs, &url, "body").await;
    let received = async || {
        let message = messages(receive(&sqs, &url).visibility_timeout(0)).await.pop();
        message.map(|message| message.receipt_handle.unwrap())
    };
    let delete = async |receipt: &str| sqs.delete_message().queue_url(&url).receipt_handle(receipt).send().await;

    let stale = received().await.unwrap();
    let latest = received().await.unwrap();
    delete(&stale).await.unwrap();
    assert_eq!(counts(&sqs, &url).await.0, "1");
    delete(&latest).await.unwrap();
    assert_eq!(received().await, None);
    delete(&latest).await.unwrap();

    let error = delete("never given").await.unwrap_err().into_service_error();
    assert!(error.is_receipt_handle_is_invalid(), "{error:?}");
}

#[tokio::test]
async fn the_dead_letter_queue_takes_what_was_received_too_often() {
    let engines = started().await;
    let sqs = engines.sqs();
    let resources = crate::local::engines::provision(&engines).await.unwrap();
    let (events, dead) = (&resources.events_url, &resources.dead_letters_url);
    let message = sqs.send_message().queue_url(events).message_body("body").message_group_id("platform/default");
    let message = message.message_system_attributes(ForSends::AwsTraceHeader, trace());
    let sent = message.message_attributes("type", attribute("commerce.order.paid")).send().await.unwrap();

    for count in 1..=5 {
        let [message] = &messages(receive(&sqs, events).visibility_timeout(0)).await[..] else {
            panic!("receive {count} must still come from the events")
        };
        assert_eq!(message.attributes.as_ref().unwrap()[&System::ApproximateReceiveCount], count.to_string());
    }
    assert_eq!(messages(receive(&sqs, dead)).await, []);
    assert_eq!(messages(receive(&sqs, events).visibility_timeout(0)).await, []);

    let [message] = &messages(receive(&sqs, dead).message_attribute_names("All")).await[..] else {
        panic!("one dead letter")
    };
    assert_eq!((message.body(), message.message_id()), (Some("body"), sent.message_id()));
    assert_eq!(message.message_attributes.as_ref().unwrap()["type"], attribute("commerce.order.paid"));
    let attributes = message.attributes.as_ref().unwrap();
    assert_eq!(attributes[&System::AwsTraceHeader], TRACE);
    assert_eq!(attributes[&System::MessageGroupId], "platform/default");
    assert_eq!(attributes[&System::ApproximateReceiveCount], "6");
}

#[tokio::test]
async fn queue_attributes_come_back_when_asked_for() {
    let engines = started().await;
    let (sqs, url) = queue(&engines, &[]).await;
    let ask = || sqs.get_queue_attributes().queue_url(&url);
    let asked = ask().attribute_names(QueueAttributeName::QueueArn).send().await.unwrap().attributes.unwrap();
    let expected = (QueueAttributeName::QueueArn, "arn:aws:sqs:us-east-1:000000000000:queue".into());
    assert_eq!(asked.into_iter().collect::<Vec<_>>(), [expected]);
    let unasked = ask().send().await.unwrap().attributes.unwrap_or_default();
    assert!(unasked.is_empty(), "{unasked:?}");
}

#[tokio::test]
async fn a_purge_leaves_nothing() {
    let engines = started().await;
    let (sqs, url) = queue(&engines, &[]).await;
    send(&sqs, &url, "one").await;
    send(&sqs, &url, "two").await;
    assert_eq!(counts(&sqs, &url).await.0, "2");
    sqs.purge_queue().queue_url(&url).send().await.unwrap();
    assert_eq!(counts(&sqs, &url).await, ("0".into(), "0".into()));
    assert_eq!(messages(receive(&sqs, &url)).await, []);
}

#[tokio::test]
async fn a_move_task_fails_at_what_was_sent_to_the_dead_letter_queue_itself() {
    let engines = started().await;
    let sqs = engines.sqs();
    let resources = crate::local::engines::provision(&engines).await.unwrap();
    let (events, dead) = (&resources.events_url, &resources.dead_letters_url);
    send(&sqs, events, "dead").await;
    for _ in 0..6 {
        messages(receive(&sqs, events).visibility_timeout(0)).await;
    }
    send(&sqs, dead, "straight").await;
    let letters = messages(receive(&sqs, dead).visibility_timeout(0)).await;
    let source = |message: &Message| message.attributes.as_ref()?.get(&System::DeadLetterQueueSourceArn).cloned();
    let events_arn = "arn:aws:sqs:us-east-1:000000000000:hookgate-events";
    assert_eq!(letters.iter().map(source).collect::<Vec<_>>(), [Some(events_arn.to_owned()), None]);

    let arn = "arn:aws:sqs:us-east-1:000000000000:hookgate-dead-letters";
    sqs.start_message_move_task().source_arn(arn).send().await.unwrap();
    let task = sqs.list_message_move_tasks().source_arn(arn).send().await.unwrap().results.unwrap().remove(0);
    assert_eq!((task.status(), task.failure_reason()), (Some("FAILED"), Some("CouldNotDetermineMessageSource")));
    assert_eq!(task.approximate_number_of_messages_moved(), 1);
    let back = messages(receive(&sqs, events).visibility_timeout(0)).await;
    assert_eq!(back.iter().map(source).collect::<Vec<_>>(), [None]);

    sqs.start_message_move_task().source_arn(arn).destination_arn(events_arn).send().await.unwrap();
    let task = sqs.list_message_move_tasks().source_arn(arn).send().await.unwrap().results.unwrap().remove(0);
    assert_eq!((task.status(), task.failure_reason()), (Some("COMPLETED"), None));
    assert_eq!((counts(&sqs, events).await.0, counts(&sqs, dead).await.0), ("2".into(), "0".into()));
}
