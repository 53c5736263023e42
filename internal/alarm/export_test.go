package alarm

import "context"

// ActOnce carries out the actions that are due.
func (s *Service) ActOnce(ctx context.Context) error {
	_, err := s.actOnce(ctx)
	return err
}
