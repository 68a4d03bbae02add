// What a policy does in a few states: the inputs of policy.py and relay.py, and the actor. In float32.
// Also who acts there, as in exploration.py.

extern "C" {

// Where the numbers of an input come from.
struct Encoding {
    int32_t observation, points, desired, relative, subtasks;
    int32_t observed, goals;  // how many of an observation and of a goal are picked
    const int64_t *observed_columns, *goal_columns;
    const int64_t* source;  // [subtasks, points]: columns of [padding | desired goals | positions]
    const float *shift, *scale;
    float clip;
};

struct States {
    const float *observation, *achieved, *desired;
    int64_t* subtask;
};

// Who acts, see BehaviorPolicy; numbers drawn for it: [batch], and for actions [batch, actions].
struct Behavior {
    const float* limit;  // [subtasks, points]: metres within which a slot counts as met
    int32_t guide, learner;  // subtasks; no guide: -1
    float guided_from, random_share, noise;  // of uniform numbers; of the normal ones
    const float *uniform, *random_action, *normal;
    int64_t *actor, *unsolved;  // [batch], written
};

}  // extern "C"

namespace {

struct Acting {
    Arena arena;
    Passes<Full> passes;
    Net<Full> actor;
    Layers<Full> h;

    Acting(const Sizes& s, char* base, Network actor)
        : arena{base}, passes(s, arena), actor(arena, s, actor, 0, s.inputs, s.actions),
          h(make_layers<Full>(arena, s, Purpose::PASS)) {}
};

// What fills slot p of a subtask in a row; null if it is not used.
const float* slot(const Encoding& e, const States& states, int row, int64_t subtask, int p) {
    const int64_t column = e.source[subtask * e.points + p] - 1;
    if (column < 0) return nullptr;
    return column < e.desired ? states.desired + 3 * (int64_t(row) * e.desired + column)
                              : states.achieved + 3 * (int64_t(row) * e.points + column - e.desired);
}

// A goal as relay.py encodes it: a position for each point, then, if asked for, the way from there to
// each that is in use, and where the objects are from the gripper.
void encode_goal(const Encoding& e, const States& states, int row, std::vector<float>& goal) {
    const float* achieved = states.achieved + int64_t(row) * e.points * 3;
    const int64_t* source = e.source + states.subtask[row] * e.points;
    goal.clear();
    for (int p = 0; p < e.points; ++p) {
        const float* from = slot(e, states, row, states.subtask[row], p);
        for (int k = 0; k < 3; ++k) goal.push_back(from != nullptr ? from[k] : 0.0f);
    }
    if (!e.relative) return;
    for (int i = 0; i < 3 * e.points; ++i)
        goal.push_back(source[i / 3] > 0 ? goal[i] - achieved[i] : 0.0f);
    for (int i = 3; i < 3 * e.points; ++i) goal.push_back(achieved[i] - achieved[i % 3]);
}

void encode(const Encoding& e, const States& states, int row, std::vector<float>& goal, float* to) {
    const float* observation = states.observation + int64_t(row) * e.observation;
    encode_goal(e, states, row, goal);
    float* at = to;
    for (int i = 0; i < e.observed; ++i) *at++ = observation[e.observed_columns[i]];
    for (int i = 0; i < e.goals; ++i) *at++ = goal[e.goal_columns[i]];
    for (int i = 0; i < e.observed + e.goals; ++i) to[i] -= e.shift[i];
    at = std::copy(goal.begin() + 3 * e.points, goal.end(), at);
    for (int s = 0; s < e.subtasks; ++s) *at++ = s == states.subtask[row];
    for (float* value = to; value < at; ++value)
        *value = std::clamp(*value * e.scale[value - to], -e.clip, e.clip);
}

bool solved(const Encoding& e, const States& states, const float* limit, int row, int subtask) {
    for (int p = 0; p < e.points; ++p) {
        const float* goal = slot(e, states, row, subtask, p);
        if (goal == nullptr) continue;
        const float* achieved = states.achieved + 3 * (int64_t(row) * e.points + p);
        float squares = 0.0f;
        for (int k = 0; k < 3; ++k) squares += (goal[k] - achieved[k]) * (goal[k] - achieved[k]);
        if (!(std::sqrt(squares) <= limit[subtask * e.points + p])) return false;
    }
    return true;
}

// The subtask after the furthest one that is solved, the last one if all are.
int first_unsolved(const Encoding& e, const States& states, const float* limit, int row) {
    for (int subtask = e.subtasks - 1; subtask >= 0; --subtask)
        if (solved(e, states, limit, row, subtask)) return std::min(subtask + 1, e.subtasks - 1);
    return 0;
}

enum Actor { GUIDE, LEARNER, RANDOM };

void choose(const Encoding& e, const States& states, const Behavior& b, int row) {
    const int unsolved = first_unsolved(e, states, b.limit, row);
    const bool guided = unsolved <= b.guide && b.uniform[row] >= b.guided_from;
    b.unsolved[row] = unsolved;
    b.actor[row] = guided ? GUIDE : b.uniform[row] < b.random_share ? RANDOM : LEARNER;
    states.subtask[row] = guided ? b.guide : b.learner;
}

}  // namespace

extern "C" {

// Bytes of scratch, aligned to 64, for a batch of states.
int64_t acting_scratch_size(const Sizes* s) {
    return Acting(*s, nullptr, nullptr).arena.used + BEYOND;
}

// To be called when there is new scratch, or weights have changed.
void prepare_acting(const Sizes* s, Network actor, char* scratch) {
    Acting(*s, scratch, actor).actor.prepare(false, Thread{0, 1});
}

// Actions [batch, actions]; `inputs` has room for [batch, inputs].
void act(const Sizes* s, const Encoding* encoding, const States* states, Network actor,
         char* scratch, float* inputs, float* actions) {
    const Acting acting(*s, scratch, actor);
    std::vector<float> goal;
    for (int r = 0; r < s->batch; ++r)
        encode(*encoding, *states, r, goal, inputs + int64_t(r) * s->inputs);
    const Passes<Full>& passes = acting.passes;
    const Range all{0, passes.rows};
    float* buffer = passes.buffer(Thread{0, 1});
    passes.load(all, inputs, nullptr, passes.inputs, buffer);
    passes.act(all, acting.actor, passes.inputs, acting.h, buffer);
    std::memcpy(actions, passes.action, sizeof(float) * s->batch * s->actions);
}

// The same by who is to act, who and where they are told: states.subtask is written.
void behave(const Sizes* s, const Encoding* encoding, const States* states, const Behavior* behavior,
            Network actor, char* scratch, float* inputs, float* actions) {
    for (int r = 0; r < s->batch; ++r) choose(*encoding, *states, *behavior, r);
    act(s, encoding, states, actor, scratch, inputs, actions);
    for (int i = 0; i < s->batch * s->actions; ++i) {
        const float action = actions[i] + behavior->normal[i] * behavior->noise;
        actions[i] = behavior->actor[i / s->actions] == RANDOM ? behavior->random_action[i]
                                                               : std::clamp(action, -1.0f, 1.0f);
    }
}

}  // extern "C"
