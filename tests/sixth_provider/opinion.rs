    Opinion {
        platform: "acme",
        not_a_webhook: &[],
        claim: |message, _| {
            let (proof, id) = (header(message, "acme-proof")?, required(message, "acme-message")?);
            let (time, written) = proof.strip_prefix("t=").and_then(|f| f.split_once(";mac=")).ok_or(Rejection::Malformed)?;
            let is_id = (1..=128).contains(&id.len()) && id.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
            if !is_id || crate::verify::base64_key(written.as_bytes(), "").is_none_or(|mac| mac.len() != 64) {
                return Err(Rejection::Malformed.into());
            }
            let late = !(-120..=120).contains(&(seconds(time)? - i128::from(message.now)));
            let (head, written) = (format!("{time}|{id}|").into_bytes(), written.to_owned());
            let mac = |secret: &[u8], text: &[u8]| {
                crate::verify::base64_key(secret, "acme_").map_or_else(Vec::new, |key| hmac_sha512(&key, text))
            };
            let (delivery_id, signed) = (Some(id), message.body.clone());
            Ok(Claim { scheme: "v1", mac, written, delivery_id, head, signed, late })
        },
        name: "about.news",
        object: "content.sale",
        payload: "content",
        key: Key::Delivery,
    },
