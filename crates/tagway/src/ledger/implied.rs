//! Whose counters a request goes to by being theirs: key, team, user and the rest. What only budgets ask for was
//! booked when the request ended; this follows from the receipt alone and is added when it is shipped, which spares
//! the path of requests the writing.

use crate::receipt::{Booking, NEVER, Payer, Receipt};

/// Adds the bookings that follow from a receipt and are not there yet.
pub(super) fn complete(receipt: &mut Receipt) {
    let member =
        receipt.team.as_deref().zip(receipt.user.as_deref()).map(|(team, user)| format!("{team}/{user}"));
    let owners = [
        (Payer::Key, receipt.key.clone()),
        (Payer::Team, receipt.team.clone()),
        (Payer::User, receipt.user.clone()),
        (Payer::Organization, receipt.organization.clone()),
        (Payer::Project, receipt.project.clone()),
        (Payer::Member, member.map(Into::into)),
        (Payer::Deployment, receipt.deployment.clone()),
        (Payer::Provider, receipt.provider.clone()),
        (Payer::Global, Some("".into())),
    ];
    for (payer, id) in owners {
        let Some(id) = id else { continue };
        if !receipt.bookings.iter().any(|booking| booking.payer == payer && booking.id == id) {
            receipt.bookings.push(Booking { payer, id, until: NEVER });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_owner_is_booked_once() {
        let mut receipt = Receipt {
            key: Some("k".into()),
            team: Some("t".into()),
            user: Some("u".into()),
            bookings: vec![Booking { payer: Payer::Team, id: "t".into(), until: 7 }],
            ..Receipt::default()
        };
        complete(&mut receipt);
        complete(&mut receipt);
        let booked: Vec<_> = receipt.bookings.iter().map(|b| (b.payer, &*b.id, b.until == NEVER)).collect();
        assert_eq!(
            booked,
            [
                (Payer::Team, "t", false),
                (Payer::Key, "k", true),
                (Payer::User, "u", true),
                (Payer::Member, "t/u", true),
                (Payer::Global, "", true),
            ]
        );
    }
}
