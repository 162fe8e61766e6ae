//! Whose counters a request goes to by being theirs: key, team, user and the rest. What only budgets ask for was
//! booked when the request ended; this follows from the receipt alone and is added when it is shipped, which spares
//! the path of requests the writing.

use crate::receipt::{Booking, NEVER, Payer, Subject};

/// Adds the bookings that follow from a subject and are not there yet.
pub(super) fn complete(subject: &mut Subject) {
    let member =
        subject.team.as_deref().zip(subject.user.as_deref()).map(|(team, user)| format!("{team}/{user}"));
    let owners = [
        (Payer::Key, subject.key.clone()),
        (Payer::Team, subject.team.clone()),
        (Payer::User, subject.user.clone()),
        (Payer::Organization, subject.organization.clone()),
        (Payer::Project, subject.project.clone()),
        (Payer::Member, member.map(Into::into)),
        (Payer::Deployment, subject.deployment.clone()),
        (Payer::Provider, subject.provider.clone()),
        (Payer::Global, Some("".into())),
    ];
    for (payer, id) in owners {
        let Some(id) = id else { continue };
        if !subject.bookings.iter().any(|booking| booking.payer == payer && booking.id == id) {
            subject.bookings.push(Booking { payer, id, until: NEVER });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_owner_is_booked_once() {
        let mut subject = Subject {
            key: Some("k".into()),
            team: Some("t".into()),
            user: Some("u".into()),
            bookings: vec![Booking { payer: Payer::Team, id: "t".into(), until: 7 }],
            ..Subject::default()
        };
        complete(&mut subject);
        complete(&mut subject);
        let booked: Vec<_> = subject.bookings.iter().map(|b| (b.payer, &*b.id, b.until == NEVER)).collect();
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
