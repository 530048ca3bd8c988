//! How TLS begins on a flow that began with plain text: see `hbids/decode/reference/upgrade.py` for what is believed.

use crate::dialogue::{Dialogue, Turn, SILENCE, TAIL_BYTES};
use crate::flow::Flow;
use crate::run::Run;
use crate::upgrade_words::{asked, granted, granted_unasked, may_be_followed_by_tls, TlsStart, BEGUN_UNANSWERED};

impl Flow {
    /// A side goes on in plain text. In bulk, only what is as short as a command is heard.
    pub(crate) fn hear(&mut self, run: &Run, side: usize, data: &[u8]) {
        if data.is_empty() || self.is_bulk(side, data.len()) {
            return;
        }
        self.bulk_side = None;
        let dialogue = self.dialogue.get_or_insert_with(|| Box::new(Dialogue::new()));
        if u64::from(dialogue.hear(side, data)) > run.limits.plain_turn_bytes {
            self.dialogue = None;
            self.bulk_side = Some(u8::from(side == 1));
        }
    }

    /// Whether so many more bytes of plain text from this side are not worth a look.
    pub(crate) fn is_bulk(&self, side: usize, length: usize) -> bool {
        self.bulk_side.map(usize::from) == Some(side) && length > TAIL_BYTES
    }

    /// Whether words of this side may be the last before TLS. The client's always may: it is the one to ask.
    pub(crate) fn may_end_plain_text(&self, side: usize) -> bool {
        self.client() == side || self.wish(side).is_some()
    }

    /// Whether, after what this side said last, nothing but TLS can follow.
    pub(crate) fn ends_plain_text(&self, side: usize) -> bool {
        self.wish(side).is_some_and(|protocol| self.client() == side || granted(protocol, self.turns().1))
    }

    /// The protocol in which the client asked for TLS, or began it.
    fn wish(&self, side: usize) -> Option<TlsStart> {
        if self.hello_client_side.map(usize::from) == Some(1 - side) {
            return Some(self.tls_start);
        }
        let (client, server) = self.turns();
        asked(client, server)
    }

    /// Whether this side may say hello as a client here: STARTTLS is for the client to begin.
    pub(crate) fn may_begin_tls(&self, side: usize) -> bool {
        let (client, server) = self.turns();
        self.client() == side && may_be_followed_by_tls(client, server)
    }

    /// Whether the server may say hello here, after a client's.
    pub(crate) fn may_be_answered(&self) -> bool {
        let (client, server) = self.turns();
        !self.is_tentative || may_be_followed_by_tls(client, server)
    }

    /// The protocol in which both sides spoke for TLS; in a capture of one side, that side.
    pub(crate) fn agreed(&self) -> Option<TlsStart> {
        let client_side = self.client();
        let (client, server) = self.turns();
        if self.sides[client_side].packets == 0 {
            return granted_unasked(server);
        }
        let protocol = asked(client, server)?;
        if self.sides[1 - client_side].packets == 0 {
            return Some(protocol);
        }
        let is_answered =
            self.dialogue.as_ref().is_some_and(|dialogue| dialogue.speaker.map(usize::from) != Some(client_side));
        let agreed = (is_answered || BEGUN_UNANSWERED.contains(&protocol)) && granted(protocol, server);
        agreed.then_some(protocol)
    }

    /// The first record of TLS begins.
    pub(crate) fn begin_upgrade(&mut self, side: usize) {
        let agreed = self.agreed();
        let (client, server) = self.turns();
        self.tls_start = agreed.or_else(|| asked(client, server)).unwrap_or(TlsStart::Upgraded);
        self.is_tentative = agreed.is_none() && self.client() == side;
    }

    /// Whether the server has let begin what its client had begun before.
    pub(crate) fn is_granted_now(&self) -> bool {
        self.is_tentative && granted(self.tls_start, self.turns().1)
    }

    /// It was not TLS.
    pub(crate) fn withdraw_upgrade(&mut self) {
        self.tls_start = self.first_tls_start();
        self.is_tentative = false;
    }

    /// The client's and the server's.
    fn turns(&self) -> (&Turn, &Turn) {
        let Some(dialogue) = &self.dialogue else {
            return (&SILENCE, &SILENCE);
        };
        let client = self.client();
        (&dialogue.turns[client], &dialogue.turns[1 - client])
    }
}
