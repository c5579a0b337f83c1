//! What AWS refuses, and how.

use aws_sdk_sqs::{
    error::ProvideErrorMetadata,
    types::{
        DeleteMessageBatchRequestEntry, MessageSystemAttributeName as System,
        MessageSystemAttributeNameForSends as ForSends, QueueAttributeName, SendMessageBatchRequestEntry,
    },
};

use super::{TRACE, attribute, counts, messages, queue, receive, started, trace};

#[tokio::test]
async fn the_size_limit_counts_body_and_attributes() {
    let engines = started().await;
    let limit = [(QueueAttributeName::MaximumMessageSize, "1048576")];
    let (sqs, url) = queue(&engines, &limit).await;
    // Quotes: twice as long on the wire, which must not matter. "type", "String" and "1234" take 14 bytes.
    for (spare, fits) in [(14, true), (13, false)] {
        let message = sqs.send_message().queue_url(&url).message_body("\"".repeat(1_048_576 - spare));
        let message = message.message_attributes("type", attribute("1234"));
        // Neither of these counts.
        let message = message.message_group_id("group").message_system_attributes(ForSends::AwsTraceHeader, trace());
        let sent = message.send().await;
        assert_eq!(sent.is_ok(), fits, "{sent:?}");
        if let Err(error) = sent {
            assert_eq!(error.code(), Some("InvalidParameterValue"));
            let message = "One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes.";
            assert_eq!(error.message(), Some(message));
        }
    }
    let [message] = &messages(receive(&sqs, &url)).await[..] else { panic!("one message") };
    assert_eq!(message.body().unwrap().len(), 1_048_562);
}

#[tokio::test]
async fn characters_that_xml_lacks_are_refused() {
    let engines = started().await;
    let (sqs, url) = queue(&engines, &[]).await;
    let attempt = |body: &str, value: &str| {
        let message = sqs.send_message().queue_url(&url).message_body(body);
        message.message_attributes("type", attribute(value)).send()
    };
    for refused in ['\0', '\u{8}', '\u{B}', '\u{C}', '\u{E}', '\u{1F}', '\u{FFFE}', '\u{FFFF}'] {
        let error = attempt(&format!("a{refused}"), "fine").await.unwrap_err().into_service_error();
        assert!(error.is_invalid_message_contents(), "{refused:?}: {error:?}");
        let error = attempt("fine", &format!("a{refused}")).await.unwrap_err();
        assert_eq!(error.code(), Some("InvalidParameterValue"), "{refused:?}");
    }
    let allowed = "\t\n\r \u{7F}\u{D7FF}\u{E000}\u{FFFD}\u{10000}\u{10FFFF}";
    attempt(allowed, allowed).await.unwrap();
    let error = sqs.send_message().queue_url(&url).message_body("").send().await.unwrap_err();
    assert_eq!(error.code(), Some("MissingParameter"));

    let [message] = &messages(receive(&sqs, &url)).await[..] else { panic!("one message") };
    assert_eq!(message.body(), Some(allowed));
}

#[tokio::test]
async fn the_entries_of_a_batch_fail_alone() {
    let engines = started().await;
    let (sqs, url) = queue(&engines, &[]).await;
    let entry = |id: &str, body: &str| {
        let entry = SendMessageBatchRequestEntry::builder().id(id).message_body(body);
        entry.message_system_attributes(ForSends::AwsTraceHeader, trace()).build().unwrap()
    };
    let message = sqs.send_message_batch().queue_url(&url).entries(entry("good", "body"));
    let sent = message.entries(entry("bad", "\u{FFFF}")).send().await.unwrap();
    let ([good], [bad]) = (sent.successful(), sent.failed()) else { panic!("one of each: {sent:?}") };
    assert_eq!(good.id(), "good");
    assert_eq!((bad.id(), bad.code(), bad.sender_fault()), ("bad", "InvalidMessageContents", true));

    let [message] = &messages(receive(&sqs, &url)).await[..] else { panic!("one message") };
    assert_eq!(message.message_id(), Some(good.message_id()));
    assert_eq!(message.attributes.as_ref().unwrap()[&System::AwsTraceHeader], TRACE);

    let entry = |id: &str, receipt: &str| {
        DeleteMessageBatchRequestEntry::builder().id(id).receipt_handle(receipt).build().unwrap()
    };
    let delete = sqs.delete_message_batch().queue_url(&url).entries(entry("good", message.receipt_handle().unwrap()));
    let deleted = delete.entries(entry("bad", "never given")).send().await.unwrap();
    let ([good], [bad]) = (deleted.successful(), deleted.failed()) else { panic!("one of each: {deleted:?}") };
    assert_eq!((good.id(), bad.id(), bad.code()), ("good", "bad", "ReceiptHandleIsInvalid"));
    assert_eq!(counts(&sqs, &url).await, ("0".into(), "0".into()));
}

/// As the JSON protocol names it, and, for SDKs that go by the older one's code, as that does.
#[tokio::test]
async fn a_refusal_is_named_as_both_protocols_name_it() {
    let engines = started().await;
    let post = reqwest::Client::new().post(engines.sqs_url()).header("content-type", "application/x-amz-json-1.0");
    let ask = post.header("x-amz-target", "AmazonSQS.GetQueueUrl").body(r#"{"QueueName":"none"}"#);
    let answer = ask.send().await.unwrap();
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.headers()["x-amzn-query-error"], "AWS.SimpleQueueService.NonExistentQueue;Sender");
    let body = answer.text().await.unwrap();
    assert!(body.contains(r#""__type":"com.amazonaws.sqs#QueueDoesNotExist""#), "{body}");

    let older = reqwest::Client::new().post(engines.sqs_url());
    let older = older.header("content-type", "application/x-www-form-urlencoded; charset=utf-8");
    let answer = older.body("Action=ListQueues&Version=2012-11-05").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["content-type"]), (400, &"text/xml".parse().unwrap()));
    assert!(answer.text().await.unwrap().contains("the older protocol of SQS"));
}

#[tokio::test]
async fn a_batch_has_one_to_ten_entries_of_different_ids() {
    let engines = started().await;
    let (sqs, url) = queue(&engines, &[]).await;
    let batch = |ids: Vec<usize>| {
        let entry = |id: usize| SendMessageBatchRequestEntry::builder().id(id.to_string()).message_body("body");
        let entries = ids.into_iter().map(|id| entry(id).build().unwrap()).collect();
        sqs.send_message_batch().queue_url(&url).set_entries(Some(entries)).send()
    };
    assert!(batch(vec![]).await.unwrap_err().into_service_error().is_empty_batch_request());
    assert!(batch(vec![1, 1]).await.unwrap_err().into_service_error().is_batch_entry_ids_not_distinct());
    let eleven = batch((0..11).collect()).await.unwrap_err().into_service_error();
    assert!(eleven.is_too_many_entries_in_batch_request(), "{eleven:?}");
    assert_eq!(counts(&sqs, &url).await.0, "0");
    assert_eq!(batch((0..10).collect()).await.unwrap().successful().len(), 10);

    // All messages of a batch together may be no larger than one.
    let entry = |id| SendMessageBatchRequestEntry::builder().id(id).message_body("x".repeat(600_000)).build().unwrap();
    let large = sqs.send_message_batch().queue_url(&url).entries(entry("1")).entries(entry("2"));
    assert!(large.send().await.unwrap_err().into_service_error().is_batch_request_too_long());
    assert_eq!(counts(&sqs, &url).await.0, "10");
}

#[tokio::test]
async fn refusals_carry_the_names_that_sdks_know() {
    let engines = started().await;
    let (sqs, url) = queue(&engines, &[]).await;
    let other = sqs.create_queue().queue_name("queue").attributes(QueueAttributeName::MaximumMessageSize, "2048");
    let error = other.send().await.unwrap_err().into_service_error();
    assert!(error.is_queue_name_exists(), "{error:?}");

    for size in ["1023", "1048577", "1 MiB"] {
        let create = sqs.create_queue().queue_name("sized").attributes(QueueAttributeName::MaximumMessageSize, size);
        assert_eq!(create.send().await.unwrap_err().code(), Some("InvalidAttributeValue"), "{size}");
    }

    let many = (0..11).fold(sqs.send_message().queue_url(&url).message_body("body"), |message, number| {
        message.message_attributes(number.to_string(), attribute("value"))
    });
    assert_eq!(many.send().await.unwrap_err().code(), Some("InvalidParameterValue"));
    let late = sqs.send_message().queue_url(&url).message_body("body").delay_seconds(901);
    assert_eq!(late.send().await.unwrap_err().code(), Some("InvalidParameterValue"));
    let long = sqs.change_message_visibility().queue_url(&url).receipt_handle("any").visibility_timeout(43_201);
    assert_eq!(long.send().await.unwrap_err().code(), Some("InvalidParameterValue"));

    let eleven = sqs.receive_message().queue_url(&url).max_number_of_messages(11);
    assert_eq!(eleven.send().await.unwrap_err().code(), Some("InvalidParameterValue"));

    let error = sqs.list_queue_tags().queue_url(&url).send().await.unwrap_err().into_service_error();
    assert!(error.is_unsupported_operation(), "{error:?}");

    sqs.delete_queue().queue_url(&url).send().await.unwrap();
    let gone = sqs.send_message().queue_url(&url).message_body("body").send().await;
    assert!(gone.unwrap_err().into_service_error().is_queue_does_not_exist());
    let gone = sqs.receive_message().queue_url(&url).send().await;
    assert!(gone.unwrap_err().into_service_error().is_queue_does_not_exist());
    let gone = sqs.get_queue_url().queue_name("queue").send().await;
    assert!(gone.unwrap_err().into_service_error().is_queue_does_not_exist());
}
