package passkey

import (
	"bytes"
	"encoding/json"
	"errors"
)

// A credential is what is kept of a passkey, as JSON. Nothing in it is of the engine that
// checks signatures, so that another one can read it. Before the passkey is confirmed there
// is the label alone.
type credential struct {
	Label string `json:"label"`

	ID     []byte `json:"id,omitempty"`     // the credential id
	Key    []byte `json:"key,omitempty"`    // the public key, as a COSE_Key
	Handle []byte `json:"handle,omitempty"` // the user handle, random, the same for all of a user
	AAGUID []byte `json:"aaguid,omitempty"` // the model, as it says itself: nothing proves it

	Transports []string `json:"transports,omitempty"` // by which the browser reaches it

	SignCount      uint32 `json:"sign_count,omitempty"`
	UserVerified   bool   `json:"user_verified,omitempty"`   // with the last answer
	BackupEligible bool   `json:"backup_eligible,omitempty"` // it may be on several devices: for good
	BackedUp       bool   `json:"backed_up,omitempty"`       // it was, with the last answer
}

func (c credential) encode() []byte {
	data, _ := json.Marshal(c) // of strings, bytes and numbers
	return data
}

var errState = errors.New("passkey: the stored state is malformed")

func decodeCredential(state []byte) (c credential, err error) {
	if json.Unmarshal(state, &c) != nil {
		return c, errState
	}
	return c, nil
}

// A question is what a challenge keeps.
type question struct {
	Challenge []byte `json:"challenge"`

	// Handle is the user handle of a registration; without one it is a login.
	Handle []byte `json:"handle,omitempty"`

	Allowed []allowed `json:"allowed,omitempty"` // the passkeys that may answer a login
}

// An allowed credential is one that may answer, and its factor.
type allowed struct {
	ID       []byte `json:"id"`
	FactorID string `json:"factor_id"`
}

func (q question) registers() bool { return len(q.Handle) > 0 }

// factorOf is the factor of a credential, "" for none that may answer.
func (q question) factorOf(id []byte) string {
	for _, a := range q.Allowed {
		if bytes.Equal(a.ID, id) {
			return a.FactorID
		}
	}
	return ""
}
