//! One captured frame, through all its layers.

use crate::eapol::read_eapol;
use crate::fragment::Whole;
use crate::layers::{Dropped, Found, Fragment, Layer, Step, Walk};
use crate::link::{first_layer, read_ethernet, read_mpls, read_ppp, read_pppoe, read_vlan, Link};
use crate::network::{read_ip, read_ip_payload};
use crate::run::Limits;
use crate::transport::{read_tcp, read_udp};
use crate::tunnel::{read_gre, Tunnels};

/// Finds the innermost TCP segment, UDP datagram or EAPOL packet of a frame.
pub(crate) struct FrameReader {
    most_layers: u64,
    tunnels: Tunnels,
}

impl FrameReader {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { most_layers: limits.layers, tunnels: Tunnels::new(limits) }
    }

    /// What `frame` holds, or the counter that says why it holds nothing.
    pub(crate) fn read<'a>(&self, link_type: u16, frame: &'a [u8]) -> Result<Found<'a>, Dropped> {
        let (layer, data) = first_layer(link_type, frame)?;
        self.walk(Walk::new(), Link { link_type, data: frame }, layer, data)
    }

    /// Go on behind the IP header of the fragment that made a packet whole.
    pub(crate) fn resume<'a>(&self, last: &Fragment<'_>, whole: &'a Whole) -> Result<Found<'a>, Dropped> {
        let mut walk = last.walk;
        walk.claimed = whole.length;
        match read_ip_payload(&mut walk, last.key.version, whole.protocol, &whole.data)? {
            Step::Next(layer, data) => self.walk(walk, Link::ethernet(&[]), layer, data),
            Step::Found(found) => Ok(found),
        }
    }

    fn walk<'a>(
        &self,
        mut walk: Walk,
        mut link: Link<'a>,
        mut layer: Layer,
        mut data: &'a [u8],
    ) -> Result<Found<'a>, Dropped> {
        loop {
            walk.layers += 1;
            if walk.layers > self.most_layers {
                return Err(Dropped::LayersExceeded);
            }
            (layer, data) = match layer {
                Layer::Ethernet => {
                    link = Link::ethernet(data);
                    read_ethernet(data)?
                }
                Layer::Vlan => read_vlan(&mut walk, data)?,
                Layer::Mpls => read_mpls(data)?,
                Layer::Pppoe => read_pppoe(data)?,
                Layer::Ppp => read_ppp(data)?,
                Layer::Gre => read_gre(data)?,
                Layer::Eapol => return read_eapol(&walk, link, data).map(Found::Eapol),
                Layer::Tcp => return read_tcp(&walk, data).map(Found::Segment),
                Layer::Ip | Layer::Udp => {
                    let step = if layer == Layer::Ip {
                        read_ip(&mut walk, data)?
                    } else {
                        read_udp(&walk, &self.tunnels, data)?
                    };
                    match step {
                        Step::Next(layer, data) => (layer, data),
                        Step::Found(found) => return Ok(found),
                    }
                }
            };
        }
    }
}
