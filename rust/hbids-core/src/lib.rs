//! The native engine of hbids: frames in, facts out. It mirrors `hbids/decode/reference` module by module and gives the
//! same rows for the same frames.

pub mod capture;

mod conversations;
mod datagram;
mod dialogue;
mod doubt;
mod eap;
mod eapol;
mod engine;
mod flow;
mod flow_key;
mod flow_row;
mod flow_table;
mod fragment;
mod frame;
mod handshake;
mod handshake_fragments;
mod heartbeat;
mod heartbeat_message;
mod heartbeat_pairing;
mod heartbeat_row;
mod hello;
mod layers;
mod link;
mod network;
mod openvpn;
mod openvpn_channel;
mod openvpn_packet;
mod openvpn_stream;
mod radius;
mod record;
mod reliable;
mod rows;
mod run;
mod session;
mod side;
mod stream;
mod tcp;
mod transport;
mod tunnel;
mod upgrade;
mod upgrade_words;

pub use engine::{Engine, Frame, Held, FRAME_ROW_BYTES};
pub use rows::Facts;
pub use run::{Counters, Limits};
