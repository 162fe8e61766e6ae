//! Base64 as embeddings use it: standard alphabet, padded, encoding only. Not worth a dependency.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let at = |i: usize| u32::from(group.get(i).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            // A group of n bytes fills n + 1 letters; the rest is padding.
            if group.len() < place {
                out.push('=');
            } else {
                let six = (bits >> (18 - 6 * place)) & 63;
                out.push(char::from(ALPHABET[six as usize]));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn agrees_with_the_vectors_of_rfc_4648() {
        let vectors = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
        ];
        for (plain, coded) in vectors {
            assert_eq!(super::encode(plain.as_bytes()), coded);
        }
    }
}
