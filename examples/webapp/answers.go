package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"
)

// answerAge is how long package mfa lets the same Verify succeed again.
const answerAge = time.Minute

// answerID is where the answered question is kept, for the cookie with which it was
// answered. A right code gives the session a new id, of which a browser that has submitted
// twice hears nothing: its second request comes with the cookie of before. That alone
// opens nothing: the same code has to come with it, and Verify has to say yes again.
func (a *app) answerID(r *http.Request, questionID string) []byte {
	cookie, err := r.Cookie(cookieName("session", a.secure()))
	if err != nil || questionID == "" {
		return nil
	}
	sum := sha256.Sum256([]byte(cookie.Value + " " + questionID))
	return sum[:]
}

// answer keeps a question that was answered, and reports whether this is the first time.
func (db database) answer(ctx context.Context, id []byte, q question, expires time.Time) (first bool, err error) {
	q.Answered, q.Path, q.Form, q.Picture = true, "", "", nil
	q.Open = map[string]open{q.FactorID: {ChallengeID: q.Open[q.FactorID].ChallengeID, Until: q.Open[q.FactorID].Until}}
	text, err := json.Marshal(q)
	if err != nil || id == nil {
		return true, err
	}
	done, err := db.ExecContext(context.WithoutCancel(ctx), "INSERT INTO answers (hash, user, question, expires) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", id, q.UserID, string(text), expires.UnixMilli())
	if err != nil {
		return false, err
	}
	n, err := done.RowsAffected()
	return n == 1, err
}

// keepEpoch is for an answer that changed the factors: its repeat is not one of before.
func (db database) keepEpoch(ctx context.Context, id []byte, epoch int) error {
	_, err := db.ExecContext(context.WithoutCancel(ctx), "UPDATE answers SET question = json_set(question, '$.Epoch', ?) WHERE hash = ? AND question <> ''", epoch, id)
	return err
}

// forgetAnswers is for who logs out, and is not to be logged in by what was sent before. The
// rows stay until they expire: a repeat that is on its way is not to be a first answer.
func (db database) forgetAnswers(ctx context.Context, userID string) error {
	_, err := db.ExecContext(context.WithoutCancel(ctx), "UPDATE answers SET question = '' WHERE user = ?", userID)
	return err
}

// forgetAnswer is for a repeat with another code: nobody tries out codes with it.
func (db database) forgetAnswer(ctx context.Context, id []byte) error {
	_, err := db.ExecContext(context.WithoutCancel(ctx), "UPDATE answers SET question = '' WHERE hash = ?", id)
	return err
}

// answered finds a question that was answered a moment ago.
func (db database) answered(ctx context.Context, id []byte, now time.Time) (q question, ok bool, err error) {
	var text []byte
	err = db.QueryRowContext(ctx, "SELECT question FROM answers WHERE hash = ? AND question <> '' AND expires > ?", id, now.UnixMilli()).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return question{}, false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &q)
	}
	return q, err == nil, err
}

// turns lets those with the same id go one after the other, within this process: of two
// submits at once, the second finds what the first did. Rarely, strangers share a turn.
type turns [1024]sync.Mutex

func (t *turns) take(id []byte) (done func()) {
	sum := sha256.Sum256(id)
	turn := &t[int(binary.BigEndian.Uint16(sum[:]))%len(t)]
	turn.Lock()
	return turn.Unlock
}
